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

test('no source file imports a layer above its own', () => {
  const source = join(import.meta.dirname, '../../src')
  const offenders = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => {
      const layer = path.includes('/') ? path.slice(0, path.indexOf('/')) : 'leaf'
      const imports = readFileSync(join(source, path), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']*)'/g)
      return Array.from(imports, ([, target = '']) => join(path, '..', target))
        .filter((target) => target.includes('/') && !target.startsWith(`${layer}/`))
        .filter((target) => MAY_IMPORT[layer]?.every((allowed) => !target.startsWith(`${allowed}/`)) ?? true)
        .map((target) => `src/${path} imports src/${target}`)
    })
  assert.deepEqual(offenders, [])
})
