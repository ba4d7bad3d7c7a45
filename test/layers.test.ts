import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

/** Which folders of src/ a folder may import from, besides itself and the leaves beside the folders. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  sheep: ['wire'],
  volume: ['wire', 'sheep'],
  tree: ['wire', 'sheep', 'volume'],
  fuse: ['wire', 'tree'],
  api: ['wire'],
  daemon: ['wire', 'sheep', 'volume', 'tree', 'fuse', 'api'],
  cli: ['daemon', 'api'],
  lamb: ['wire'],
}

const source = join(import.meta.dirname, '../../src')

function filesOf(...layers: readonly string[]): string[] {
  return layers.flatMap((layer) =>
    readdirSync(join(source, layer), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => join(layer, path)),
  )
}

test('no source file imports a layer above its own', () => {
  const offenders = filesOf('.').flatMap((path) => {
    const layer = path.includes('/') ? path.slice(0, path.indexOf('/')) : 'leaf'
    const imports = readFileSync(join(source, path), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']*)'/g)
    return Array.from(imports, ([, target = '']) => join(path, '..', target))
      .filter((target) => target.includes('/') && !target.startsWith(`${layer}/`))
      .filter((target) => MAY_IMPORT[layer]?.every((allowed) => !target.startsWith(`${allowed}/`)) ?? true)
      .map((target) => `src/${path} imports src/${target}`)
  })
  assert.deepEqual(offenders, [])
})

/** Layers that a simulation runs: what they do follows from what they are given, to the byte. */
const SIMULATED = ['wire', 'sheep', 'volume', 'tree']

const TIME_OR_CHANCE = /\b(?:performance|set(?:Timeout|Interval|Immediate)|Date\.now|new Date\(\)|Math\.random)\b/
/** Pure functions: they tell the kinds of texts and addresses apart. */
const PURE_IMPORTS = /^import \{ (?:is(?:IP|IPv4|IPv6|Utf8)(?:, )?)+ \} from 'node:(?:net|buffer)'$/

test('no simulated layer takes time, chance or connections from anywhere but its clock and dial', () => {
  const isComment = (line: string): boolean => /^\s*(?:\/\/|\/?\*)/.test(line)
  const isOffence = (line: string): boolean =>
    TIME_OR_CHANCE.test(line) ||
    line.includes('/system-clock.ts') ||
    (line.includes(" from 'node:") && !PURE_IMPORTS.test(line))
  const offenders = filesOf(...SIMULATED).flatMap((path) =>
    readFileSync(join(source, path), 'utf8')
      .split('\n')
      .filter((line) => isOffence(line) && !isComment(line))
      .map((line) => `src/${path}: ${line.trim()}`),
  )
  assert.deepEqual(offenders, [])
})
