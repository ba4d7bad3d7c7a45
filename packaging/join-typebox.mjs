// Puts typebox into as many files as it has entries: to find and load its 700 takes longer than all that a command does.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildSync } from 'esbuild'

const source = join(import.meta.dirname, '../node_modules/typebox/build')
const ENTRIES = ['index.mjs', 'value/index.mjs']

/** Makes `target` what the folder build of typebox is, with what is imported from src/. */
export function joinTypebox(target) {
  rmSync(target, { recursive: true, force: true })
  buildSync({
    entryPoints: ENTRIES.map((entry) => join(source, entry)),
    outbase: source,
    outdir: target,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    chunkNames: 'shared',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
  })
}
