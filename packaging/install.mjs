// Installs sheepfs into a directory, as packages do: node packaging/install.mjs DESTDIR [OPTION]...
// Takes what is built (dist/) and installed (node_modules/) and leaves out what only developers need.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, extname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { completionScripts } from './completions.mjs'
import { joinTypebox } from './join-typebox.mjs'
import { fetchModules, fetchRuntime } from './runtime.mjs'

const root = join(import.meta.dirname, '..')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'unit-dir': { type: 'string', default: '/usr/lib/systemd/system' },
    'zsh-dir': { type: 'string', default: '/usr/share/zsh/site-functions' },
    package: { type: 'string', default: 'sheepfs' },
    arch: { type: 'string', default: process.arch },
  },
})
const [destination] = positionals
if (destination === undefined) {
  console.error(
    'usage: node packaging/install.mjs DESTDIR [--unit-dir=DIR] [--zsh-dir=DIR] [--package=sheepfs-bundled] [--arch=arm64]',
  )
  process.exit(2)
}

const HOME = '/usr/lib/sheepfs'
const { arch } = values
const runtime = values.package === 'sheepfs-bundled' ? fetchRuntime(arch) : undefined
const modules = fetchModules(arch)
/** The libraries that npm has for fuse-native. */
const LIBFUSE_OF = { x64: 'linux', arm: 'linux-arm' }
const NODE = runtime === undefined ? '/usr/bin/node' : `${HOME}/bin/node`
const PROGRAMS = {
  '/usr/bin/sheepfs': 'cli/sheepfs',
  '/usr/bin/sheepfsd': 'cli/sheepfsd',
  '/usr/bin/sheepfsctl': 'cli/sheepfsctl',
  '/usr/bin/lamb': 'lamb/lamb',
  '/usr/sbin/mount.sheepfs': 'cli/mount-sheepfs',
  '/usr/sbin/umount.sheepfs': 'cli/umount-sheepfs',
  [`${HOME}/sheepfs-clean-up`]: 'cli/sheepfs-clean-up',
  [`${HOME}/sheepfs-end-waiting`]: 'cli/sheepfs-end-waiting',
}
const EXAMPLES = ['etc/sheepfs/example.toml', 'etc/prometheus/sheepfs.rules.yml', 'etc/grafana/sheepfs.json']
const PAGES = [
  'README.md',
  ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? `docs/${name}` : [])),
]
/** What a package of npm needs at run time; its licence goes to third-party-licenses.txt. */
const RUNTIME_FILES = new Set(['.js', '.cjs', '.mjs', '.json', '.node'])
const DEVELOPERS_FOLDERS = /^(__tests__|tests?|examples?|benchmarks?|scripts|\.github|integration)$/
const DEVELOPERS_FILES = /^(tsconfig|bower|\.|gulpfile|Gruntfile|rollup|eslint|karma)|\.(test|spec|config)\.[cm]?js$/

function place(path) {
  const target = join(destination, path)
  mkdirSync(dirname(target), { recursive: true })
  return target
}

function install(source, path, mode = 0o644) {
  copyFileSync(join(root, source), place(path))
  chmodSync(join(destination, path), mode)
}

/** All pages lie in one folder there: links between them go on working, and of links into the source the text is left. */
function installPage(page) {
  const text = readFileSync(join(root, page), 'utf8').replace(/!?\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)/g, (...match) => {
    const [, label, path, anchor = ''] = match
    const target = join(dirname(page), path)
    if (PAGES.includes(target)) return `[${label}](${basename(target)}${anchor})`
    return EXAMPLES.includes(target) ? `[${label}](examples/${basename(target)})` : label
  })
  writeFileSync(place(`/usr/share/doc/sheepfs/${basename(page)}`), text)
}

/** Programs are executable and run the Node.js of the system or of the package, not the first in somebody's PATH. */
function installPrograms() {
  const home = join(destination, HOME)
  for (const file of readdirSync(home, { recursive: true }).filter((name) => /\.[cm]?js$/.test(name))) {
    if (statSync(join(home, file)).isDirectory()) continue
    chmodSync(join(home, file), 0o644)
    const text = readFileSync(join(home, file), 'utf8')
    if (text.startsWith('#!')) writeFileSync(join(home, file), text.slice(text.indexOf('\n') + 1))
  }
  for (const [path, program] of Object.entries(PROGRAMS)) {
    const script = `${HOME}/dist/src/${program}.js`
    const file = join(destination, script)
    if (!existsSync(file)) throw new Error(`${program} is not built: npm run build`)
    writeFileSync(file, `#!${NODE}\n${readFileSync(file, 'utf8')}`)
    chmodSync(file, 0o755)
    symlinkSync(relative(dirname(path), script), place(path))
  }
}

function installCode() {
  cpSync(join(root, 'dist/src'), place(`${HOME}/dist/src`), {
    recursive: true,
    filter: (path) => extname(path) === '' || path.endsWith('.js'),
  })
  const { name, version, type, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const manifest = { name, version, type, license, package: values.package }
  writeFileSync(place(`${HOME}/package.json`), `${JSON.stringify(manifest, undefined, 2)}\n`)
}

function installModules() {
  if (arch === process.arch && !existsSync(join(root, 'node_modules/sd-notify/build/Release/notify.node'))) {
    throw new Error('sd-notify is not built: install libsystemd-dev and a C++ compiler, then npm ci')
  }
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const licenses = []
  for (const [path, { dev, version, license }] of Object.entries(packages)) {
    if (path === '' || dev === true || !existsSync(join(modules, path)) || isForOthers(path)) continue
    const top = join(modules, path)
    cpSync(top, place(`${HOME}/${path}`), { recursive: true, filter: (file) => isRuntime(relative(top, file), file) })
    licenses.push(`${path.slice(path.lastIndexOf('node_modules/') + 13)} ${version}: ${license}\n\n${licenseText(top)}`)
  }
  if (LIBFUSE_OF[arch] !== undefined) licenses.push(libfuseNotice())
  if (runtime !== undefined) licenses.push(installRuntime(runtime))
  writeFileSync(place('/usr/share/doc/sheepfs/third-party-licenses.txt'), licenses.join(`\n${'-'.repeat(72)}\n\n`))
  removeEmptyFolders(join(destination, HOME, 'node_modules'))
}

/** Two packages of npm hold it, and neither tells its licence. */
function libfuseNotice() {
  const terms = readFileSync(join(root, 'packaging/licenses/LGPL-2.1.txt'), 'utf8')
  return `libfuse 2.9.9 (in fuse-native and fuse-shared-library-linux): LGPL-2.1

Copyright (C) 2001-2007 Miklos Szeredi <miklos@szeredi.hu>, and others

The files libfuse.so below node_modules are libfuse as those packages publish it, unchanged. The engine fuse-native loads it,
and any other build of libfuse 2.9 may be put in its place. Its source is
https://github.com/libfuse/libfuse/releases/download/fuse-2.9.9/fuse-2.9.9.tar.gz
Whoever gives this package away gives that source too, for three years, to anybody who asks, for no more than what the copy
costs.

${terms}`
}

function loadsInRuntime(path) {
  const script = `require(${JSON.stringify(join(root, path))})`
  const loads = spawnSync(join(runtime, 'bin/node'), ['--eval', script], { stdio: 'ignore' }).status === 0
  if (!loads)
    console.warn(`${path} is left out: it is not compiled for ${basename(runtime)}. systemd-notify(1) tells systemd`)
  return loads
}

/** Byte for byte as it is published. Returns its licences: those of what it contains stand in its own. */
function installRuntime(folder) {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  copyFileSync(join(folder, 'bin/node'), place(NODE))
  chmodSync(join(destination, NODE), 0o755)
  return `Node.js ${version} (${name}): MIT, and those of what it contains\n\n${licenseText(folder)}`
}

function removeEmptyFolders(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name))
  }
  if (readdirSync(folder).length === 0) rmdirSync(folder)
}

function isRuntime(path, file) {
  if (path === '') return true
  const parts = path.split('/')
  if (parts.includes('node_modules')) return false // packages below are listed by themselves
  if (parts[0] === 'prebuilds') return isPrebuildOfThisMachine(parts)
  if (/^musl_/.test(parts[0])) return false // the library of another kind of system
  if (path === 'cnoke.cjs') return false // compiles, where there is no binary
  if (parts.includes('.deps')) return false // what make notes
  if (DEVELOPERS_FOLDERS.test(parts[0]) || parts.includes('obj.target')) return false
  if (statSync(file).isDirectory()) return true
  if (/^libfuse\.so/.test(basename(path))) return true
  return RUNTIME_FILES.has(extname(file)) && !DEVELOPERS_FILES.test(basename(path))
}

/** The library of fuse-native comes in a package for each kind of machine; sd-notify is compiled for one Node.js. */
function isForOthers(path) {
  if (path === 'node_modules/sd-notify')
    return arch !== process.arch || (runtime !== undefined && !loadsInRuntime(path))
  return /fuse-shared-library-/.test(path) && !path.endsWith(`fuse-shared-library-${LIBFUSE_OF[arch] ?? 'none'}`)
}

function isPrebuildOfThisMachine([, folder, file]) {
  if (folder === undefined) return true
  return folder === `linux-${arch}` && (file === undefined || !/musl|electron/.test(file))
}

function licenseText(top) {
  const name = readdirSync(top).find((file) => /^licen[cs]e/i.test(file))
  return name === undefined ? '(the package has no licence file)\n' : readFileSync(join(top, name), 'utf8')
}

installCode()
installModules()
joinTypebox(join(destination, HOME, 'node_modules/typebox/build'))
installPrograms()
for (const unit of ['sheepfs@.service', 'sheepfs-outage@.service']) {
  install(`systemd/${unit}`, `${values['unit-dir']}/${unit}`)
}
install('systemd/sheepfs-generator', `${dirname(values['unit-dir'])}/system-generators/sheepfs-generator`, 0o755)
install('systemd/mount-with', `${HOME}/mount-with`, 0o755)
install('systemd/60-sheepfs.rules', `${dirname(dirname(values['unit-dir']))}/udev/rules.d/60-sheepfs.rules`)
install('systemd/device-name', `${HOME}/device-name`, 0o755)
install('packaging/restart-instances', `${HOME}/restart-instances`, 0o755)
install('systemd/sheepfs.sysusers', '/usr/lib/sysusers.d/sheepfs.conf')
install('systemd/sheepfs.tmpfiles', '/usr/lib/tmpfiles.d/sheepfs.conf')
install('etc/default/sheepfs', '/etc/default/sheepfs')
mkdirSync(join(destination, 'etc/sheepfs'), { recursive: true })
for (const example of EXAMPLES) install(example, `/usr/share/doc/sheepfs/examples/${basename(example)}`)
for (const page of PAGES) installPage(page)
for (const page of readdirSync(join(root, 'packaging/man'))) {
  install(`packaging/man/${page}`, `/usr/share/man/man${page.at(-1)}/${page}`)
}
writeFileSync(place('/usr/share/man/man8/umount.sheepfs.8'), '.so man8/mount.sheepfs.8\n')
const completions = {
  'sheepfs.bash': ['/usr/share/bash-completion/completions/sheepfs', ''],
  'sheepfs.fish': ['/usr/share/fish/vendor_completions.d/sheepfs.fish', '.fish'],
  _sheepfs: [`${values['zsh-dir']}/_sheepfs`],
}
for (const [name, text] of completionScripts()) {
  const [path, ending] = completions[name]
  writeFileSync(place(path), text)
  if (ending === undefined) continue
  // these shells look for a file by the name of the program
  for (const program of ['sheepfsd', 'sheepfsctl', 'lamb']) {
    symlinkSync(basename(path), place(`${dirname(path)}/${program}${ending}`))
  }
}
