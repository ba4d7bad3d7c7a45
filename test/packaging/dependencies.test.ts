import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '../../..')

const readJson = (path: string): unknown => JSON.parse(readFileSync(join(ROOT, path), 'utf8'))

type Names = Readonly<Record<string, unknown>>
interface Package {
  readonly engines: { readonly node: string }
  readonly dependencies: Names
  readonly devDependencies: Names
  readonly optionalDependencies: Names
  readonly overrides: Names
  readonly allowScripts: Names
}
interface Locked {
  readonly engines?: { readonly node?: string } | readonly string[]
  readonly hasInstallScript?: boolean
}

const manifest = readJson('package.json') as Package
const lockFile = readJson('package-lock.json') as { readonly packages: Readonly<Record<string, Locked>> }
const locked = Object.entries(lockFile.packages)

type Version = readonly [number, number]

const versionOf = (text: string): Version => {
  const [major = 0, minor = 0] = text.split('.').map(Number)
  return [major, Number.isNaN(minor) ? 0 : minor]
}

/** Whether a range of versions, as `engines` has it, takes a version. Throws for a form it does not know. */
function takes(range: string, [major, minor]: Version): boolean {
  return range.split('||').some((alternative) => {
    const text = alternative.trim()
    if (text === '*' || text === '') return true
    const [, operator, number = ''] = /^(>=|\^|~)? ?(\d+(?:\.(?:\d+|x)){0,2})$/.exec(text) ?? []
    if (number === '') throw new Error(`not understood: ${range}`)
    const [atMajor, atMinor] = versionOf(number)
    const isLater = major > atMajor || (major === atMajor && minor >= atMinor)
    return operator === '>=' ? isLater : major === atMajor && isLater
  })
}

test('every package that is installed runs on the oldest Node.js that is supported', () => {
  const oldest = versionOf(manifest.engines.node.replace('>=', ''))
  const refusing = locked.flatMap(([path, { engines }]) => {
    const range = engines !== undefined && 'node' in engines ? engines.node : undefined
    return range === undefined || takes(range, oldest) ? [] : [`${path}: ${range}`]
  })
  assert.deepEqual(refusing, [])
})

test('a package that wants a later Node.js is found', () => {
  assert.deepEqual(
    ['>=22', '^18 || ^20.17.0', '^22.12', '>= 20.19', '18 || >= 21', '10.x', '>=20.20'].map((range) =>
      takes(range, [20, 19]),
    ),
    [false, true, false, true, false, false, false],
  )
})

test('CONTRIBUTING.md says why each dependency, override and allowed install script is there', () => {
  const page = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8')
  const section = page.slice(page.indexOf('\n## Dependencies\n'), page.indexOf('\nWritten by hand'))
  const rows = section.split('\n').flatMap((line) => /^\| (`.*?) +\|/.exec(line)?.[1] ?? [])
  const named = rows.flatMap((cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name = '']) => name))
  const { dependencies, devDependencies, optionalDependencies } = manifest
  const wanted = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
  assert.deepEqual(named.toSorted(), wanted.toSorted())
  const paragraph = (start: string): string => section.split('\n\n').find((text) => text.startsWith(start)) ?? ''
  for (const name of Object.keys(manifest.overrides)) assert.ok(paragraph('`overrides`').includes(`\`${name}\``), name)
  for (const name of Object.keys(manifest.allowScripts)) {
    assert.ok(paragraph('`allowScripts`').includes(`\`${name}\``), name)
  }
})

test('every package with an install script is allowed or refused by name', () => {
  const scripted = locked.filter(([, { hasInstallScript }]) => hasInstallScript === true)
  assert.deepEqual(
    scripted.map(([path]) => path.replace(/^.*node_modules\//, '')).toSorted(),
    Object.keys(manifest.allowScripts).toSorted(),
  )
})

test('CHANGELOG.md tells of the version that this is, or of what comes after it', () => {
  const headings = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').match(/^## .*$/gm) ?? []
  const { version } = readJson('package.json') as { readonly version: string }
  const [latest = ''] = headings.filter((heading) => heading !== '## Unreleased')
  assert.match(latest, /^## \d+\.\d+\.\d+ - 20\d\d-\d\d-\d\d$/)
  assert.ok(latest.startsWith(`## ${version} - `), `${latest}, and package.json says ${version}`)
})
