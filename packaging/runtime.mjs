// What packages bring from npm for a kind of machine: the Node.js of sheepfs-bundled, pinned with its integrity in
// runtime/package-lock.json, and the modules of package-lock.json. Each is fetched once.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const fetched = join(root, 'build/runtime')
const pins = join(import.meta.dirname, 'runtime')
const MANIFEST = ['package.json', 'package-lock.json']

/** The folder of the package with Node.js: bin/node, LICENSE, package.json. Errors: there is none, or it cannot be fetched. */
export function fetchRuntime(arch = process.arch) {
  const name = `node-linux-${arch}`
  const { packages } = JSON.parse(readFileSync(join(pins, 'package-lock.json'), 'utf8'))
  const pinned = packages[`node_modules/${name}`]
  if (pinned === undefined) throw new Error(`there is no Node.js to bring along for ${arch}`)
  const folder = join(fetched, `${name}-${pinned.version}`)
  fetchOnce({ manifest: pins, arch, folder, part: `node_modules/${name}` })
  if (!existsSync(join(folder, 'bin/node'))) throw new Error(`${folder} has no bin/node`)
  return folder
}

/** The folder in which node_modules is: for another machine than this one only what need not be compiled. */
export function fetchModules(arch) {
  if (arch === process.arch) return root
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const folder = join(fetched, `modules-${arch}-${lock.slice(0, 12)}`)
  fetchOnce({ manifest: root, arch, folder, part: '' })
  return folder
}

/** What is in `folder` is whole: `part` gets its name when npm has compared it with the lock file. */
function fetchOnce({ manifest, arch, folder, part }) {
  if (existsSync(folder)) return
  mkdirSync(fetched, { recursive: true })
  const stage = mkdtempSync(`${folder}.`)
  try {
    const inner = join(stage, 'all')
    mkdirSync(inner)
    for (const file of MANIFEST) cpSync(join(manifest, file), join(inner, file))
    const machine = ['--os=linux', `--cpu=${arch}`, '--libc=glibc', '--omit=dev']
    const args = ['ci', ...machine, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    const { status } = spawnSync('npm', args, { cwd: inner, stdio: ['ignore', 2, 2] })
    if (status !== 0 || !existsSync(join(inner, part))) throw new Error(`npm could not fetch what is for ${arch}`)
    if (!existsSync(folder)) renameSync(join(inner, part), folder)
  } finally {
    rmSync(stage, { recursive: true })
  }
}
