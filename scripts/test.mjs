// Format, lint and all tests; with arguments only the test files whose path contains one of them.
// Every skipped test is listed with its reason. In CI (environment variable CI) a skip is a failure.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec as Spec } from 'node:test/reporters'

/** Far above what a file takes: only a test that hangs gets there. */
const FILE_LIMIT_MS = 1_200_000

/** What takes longest, so that none of it runs alone at the end; what computes is between what waits. */
const LONGEST = [
  'system/system',
  'simulation/simulation',
  'e2e/cluster-away',
  'adversary/worker-attacks',
  'adversary/worker-nonsense',
  'e2e/mount-volume',
  'simulation/mutation',
  'e2e/worker-crash',
  'packaging/bundled',
  'e2e/block-device',
  'e2e/daemon-trouble',
  'fuzz/fuzz',
  'e2e/',
  'adversary/',
  'packaging/',
]

const root = join(import.meta.dirname, '..')
process.chdir(root)
const patterns = process.argv.slice(2)

/** True when a static check has found nothing. It tells what it finds at once, and the tests go on. */
async function isClean(script, args) {
  const child = spawn(process.execPath, [join('node_modules', script), ...args], { stdio: 'inherit' })
  const [status] = await once(child, 'exit')
  return status === 0
}

async function checkStatically() {
  const isFormatted = await isClean('prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.'])
  if (!(await isClean('eslint/bin/eslint.js', ['.'])) || !isFormatted) process.exitCode = 1
}

function rank(path) {
  const at = LONGEST.findIndex((start) => path.startsWith(`test/${start}`))
  return at === -1 ? LONGEST.length : at
}

/** Found by their sources: dist/ may still hold a test that is gone. */
function testFiles() {
  return readdirSync('test', { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => patterns.length === 0 || patterns.some((pattern) => path.includes(pattern)))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
    .map((path) => join('dist', path.replace(/\.ts$/, '.js')))
}

const files = testFiles()
if (files.length === 0) {
  console.error(`no test file matches ${patterns.join(' or ')}`)
  process.exit(1)
}

const skipped = []
process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --enable-source-maps`.trim()
const checked = patterns.length === 0 ? checkStatically() : undefined
const events = run({ files, concurrency: Math.max(2, availableParallelism()), timeout: FILE_LIMIT_MS })
events.on('test:fail', () => (process.exitCode = 1))
events.on('test:pass', ({ name, skip }) => {
  if (skip !== undefined) skipped.push(`${name}: ${skip === true ? 'no reason given' : skip}`)
})
events.once('end', () => {
  if (skipped.length === 0) return
  console.log(`\nskipped:\n${skipped.map((line) => `  ${line}`).join('\n')}`)
  if (process.env.CI !== undefined) {
    console.log('in CI nothing may be skipped')
    process.exitCode = 1
  }
})
const report = events.compose(new Spec())
report.pipe(process.stdout)
await Promise.all([finished(report), checked])
