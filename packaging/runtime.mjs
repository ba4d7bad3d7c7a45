// The Node.js that sheepfs-bundled brings: of npm, pinned with its integrity in runtime/package-lock.json. It is fetched once.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const pins = join(import.meta.dirname, 'runtime')
const MANIFEST = ['package.json', 'package-lock.json']

/** The folder of the package for this machine: bin/node, LICENSE, package.json. Errors: there is none, or it cannot be fetched. */
export function fetchRuntime() {
  const name = `node-linux-${process.arch}`
  const { packages } = JSON.parse(readFileSync(join(pins, 'package-lock.json'), 'utf8'))
  const pinned = packages[`node_modules/${name}`]
  if (pinned === undefined) throw new Error(`there is no Node.js to bring along for ${process.arch}`)
  const folder = join(root, 'build/runtime', `${name}-${pinned.version}`)
  if (!existsSync(folder)) fetchTo(folder, name)
  return folder
}

/** What is in `folder` is whole: it gets its name when npm has compared it with the lock file. */
function fetchTo(folder, name) {
  mkdirSync(join(folder, '..'), { recursive: true })
  const stage = mkdtempSync(`${folder}.`)
  try {
    for (const file of MANIFEST) cpSync(join(pins, file), join(stage, file))
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    spawnSync('npm', args, { cwd: stage, stdio: 'inherit' })
    const fetched = join(stage, 'node_modules', name)
    if (!existsSync(join(fetched, 'bin/node'))) throw new Error(`npm could not fetch ${name}, which is optional to it`)
    if (!existsSync(folder)) renameSync(fetched, folder)
  } finally {
    rmSync(stage, { recursive: true })
  }
}
