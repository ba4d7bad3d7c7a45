// Format, lint and all tests; with arguments only the test files whose path contains one of them.
// Every skipped test is listed with its reason. In CI (environment variable CI) a skip is a failure.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec as Spec } from 'node:test/reporters'

/** Far above what a file takes: only a test that hangs gets there. */
const FILE_LIMIT_MS = 600_000

const root = join(import.meta.dirname, '..')
process.chdir(root)
const patterns = process.argv.slice(2)

function check(script, args) {
  const { status } = spawnSync(process.execPath, [join('node_modules', script), ...args], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}

/** What takes longest comes first. */
function rank(path) {
  const at = ['/system/', '/e2e/'].findIndex((folder) => path.includes(folder))
  return at === -1 ? 2 : at
}

/** Found by their sources: dist/ may still hold a test that is gone. Long ones first. */
function testFiles() {
  return readdirSync('test', { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => patterns.length === 0 || patterns.some((pattern) => path.includes(pattern)))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
    .map((path) => join('dist', path.replace(/\.ts$/, '.js')))
}

if (patterns.length === 0) {
  check('prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.'])
  check('eslint/bin/eslint.js', ['.'])
}
const files = testFiles()
if (files.length === 0) {
  console.error(`no test file matches ${patterns.join(' or ')}`)
  process.exit(1)
}

const skipped = []
process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --enable-source-maps`.trim()
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
await finished(report)
