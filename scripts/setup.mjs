// Makes a bare Debian machine ready for `npm test` or `npm run demo`: Debian packages, npm packages, the build.
// Runs before anything is installed, so it uses nothing but Node.js. Usage: node scripts/setup.mjs test|demo|package
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..')
process.chdir(root)

/** What npm compiles sd-notify with; without it that package is left out. */
const SD_NOTIFY_HEADER = '/usr/include/systemd/sd-daemon.h'

/** What is called from outside Node.js: where to find it, who needs it, and what is impossible without it. */
const NEEDED = [
  { program: 'mount', debian: 'mount', for: ['test', 'demo'], without: 'the kernel engine cannot mount' },
  { program: 'losetup', debian: 'mount', for: ['test', 'demo'], without: 'no file system can live on a volume' },
  { program: 'mkfs.ext4', debian: 'e2fsprogs', for: ['test', 'demo'], without: 'no file system can be made' },
  { program: 'fusermount', debian: 'fuse3', for: ['test', 'demo'], without: 'only root can mount' },
  { library: 'libfuse.so.2', debian: 'libfuse2', for: ['test', 'demo'], without: 'the fuse-native engine cannot load' },
  { program: 'setpriv', debian: 'util-linux', for: ['test'], without: 'mounting without privileges is not tested' },
  { program: 'cc', debian: 'gcc libc6-dev', for: ['test'], without: 'structs are not compared with linux/fuse.h' },
  { program: 'tgtd', debian: 'tgt', for: ['test'], without: 'no other client of sheepdog is tested against the lamb' },
  { program: 'qemu-img', debian: 'qemu-utils', for: ['test'], without: 'images are not converted through volumes' },
  { program: 'rsync', debian: 'rsync', for: ['test'], without: 'copies by rsync are not tested' },
  { program: 'zstd', debian: 'zstd', for: ['test'], without: 'copies by zstd are not tested' },
  { program: 'lz4', debian: 'lz4', for: ['test'], without: 'copies by lz4 are not tested' },
  { program: 'ddrescue', debian: 'gddrescue', for: ['test'], without: 'copies by ddrescue are not tested' },
  { plugin: 'qemu/block-iscsi.so', debian: 'qemu-block-extra', for: ['test'], without: 'tgtd has no client' },
  { program: 'curl', debian: 'curl', for: ['test'], without: 'the examples of docs/control-api.md are not tested' },
  { program: 'borg', debian: 'borgbackup', for: ['test'], without: 'the commands of docs/ are not tested' },
  { program: 'restic', debian: 'restic', for: ['test'], without: 'the commands of docs/ are not tested' },
  { program: 'dh', debian: 'debhelper dpkg-dev', for: ['test', 'package'], without: 'no Debian package can be built' },
  { program: 'ip', debian: 'iproute2', for: ['test'], without: 'the commands of README.md and docs/ are not tested' },
  { program: 'rpmbuild', debian: 'rpm', for: ['test', 'package'], without: 'no RPM package can be built' },
  { program: 'mandoc', debian: 'mandoc', for: ['test'], without: 'man pages are not checked' },
  { program: 'groff', debian: 'groff-base', for: ['test'], without: 'man pages are not checked' },
  { program: 'zsh', debian: 'zsh', for: ['test'], without: 'completions of zsh are not checked' },
  { program: 'fish', debian: 'fish', for: ['test'], without: 'completions of fish are not checked' },
  { program: 'lintian', debian: 'lintian', for: ['test'], without: 'the Debian packages are not checked' },
  { program: 'rpmlint', debian: 'rpmlint', for: ['test'], without: 'the RPM packages are not checked' },
  { program: 'shellcheck', debian: 'shellcheck', for: ['test'], without: 'our shell is not checked' },
  { program: 'promtool', debian: 'prometheus', for: ['test'], without: 'alerts and the dashboard are not checked' },
  { file: '/lib/systemd/systemd', debian: 'systemd', for: ['test'], without: 'no system can be booted' },
  {
    file: '/lib/systemd/systemd-udevd',
    debian: 'udev',
    for: ['test'],
    without: 'names of block devices are not tested',
  },
  { program: 'partx', debian: 'util-linux', for: ['test'], without: 'partitions of a volume cannot be mounted' },
  { file: SD_NOTIFY_HEADER, debian: 'libsystemd-dev', for: ['test', 'package'], without: 'sd-notify cannot be built' },
  { program: 'c++', debian: 'g++ make python3', for: ['test', 'package'], without: 'sd-notify cannot be built' },
  { program: 'rsync', debian: 'rsync', for: ['test'], without: 'copies by rsync are not tested' },
  { program: 'fio', debian: 'fio', for: ['test'], without: 'the load tests and the bench cannot run' },
]
const PROGRAM_FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']

function isMissing({ program, library, plugin, file }) {
  if (file !== undefined) return !existsSync(file)
  if (plugin !== undefined)
    return !readdirSync('/usr/lib').some((folder) => existsSync(join('/usr/lib', folder, plugin)))
  if (program !== undefined) return !PROGRAM_FOLDERS.some((folder) => isExecutable(join(folder, program)))
  const known = spawnSync('ldconfig', ['-p'], { encoding: 'utf8', env: { PATH: PROGRAM_FOLDERS.join(delimiter) } })
  return !(known.stdout ?? '').includes(library)
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function run(program, args, env = process.env) {
  console.log(`setup: ${program} ${args.join(' ')}`)
  return spawnSync(program, args, { stdio: 'inherit', env }).status === 0
}

function stop(message) {
  console.error(`setup: ${message}`)
  process.exit(1)
}

function installPrograms(purpose) {
  let missing = NEEDED.filter((need) => need.for.includes(purpose) && isMissing(need))
  if (missing.length > 0 && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    run('apt-get', ['update', '-qq'], env)
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packagesOf(missing)], env)
    missing = missing.filter(isMissing)
  }
  if (missing.length > 0) {
    console.error('setup: missing on this machine:')
    for (const need of missing) console.error(`  ${nameOf(need)}: ${need.without}`)
    console.error(`setup: to install them: sudo apt-get install ${packagesOf(missing).join(' ')}`)
  }
}

/** Machines without udev may have a /dev/fuse for root alone; udev's own rule (50-udev-default.rules) opens it to all. */
function openFuseDevice() {
  const device = '/dev/fuse'
  if (!existsSync(device)) {
    console.error(`setup: no ${device}: nothing can be mounted (try: modprobe fuse)`)
  } else if ((statSync(device).mode & 0o666) !== 0o666) {
    if (process.getuid?.() === 0) {
      console.log(`setup: chmod 0666 ${device}`)
      chmodSync(device, 0o666)
    } else console.error(`setup: ${device} is for root alone: nothing can be mounted (try: sudo chmod 0666 ${device})`)
  }
}

function nameOf({ program, library, plugin, file }) {
  return program ?? library ?? plugin ?? file
}

function packagesOf(needs) {
  return [...new Set(needs.flatMap((need) => need.debian.split(' ')))]
}

/**
 * True when node_modules holds every package of the lock file in its version. npm leaves optional ones out that it cannot
 * compile: they are tried again when what they are compiled with has come since.
 */
function areModulesCurrent() {
  const installedList = 'node_modules/.package-lock.json'
  if (!existsSync(installedList)) return false
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages
  const installed = JSON.parse(readFileSync(installedList, 'utf8')).packages
  const cameMs = existsSync(SD_NOTIFY_HEADER) ? statSync(SD_NOTIFY_HEADER).ctimeMs : 0
  const wasTried = cameMs < statSync(installedList).mtimeMs
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || installed[path]?.version === version || (optional === true && wasTried),
  )
}

/** What is compiled here finds typebox in as few files as the packages have it in: dist/ comes before node_modules/. */
async function joinModules() {
  const [about, joined] = ['node_modules/typebox/package.json', 'dist/node_modules/typebox/package.json']
  if (existsSync(joined) && readFileSync(joined).equals(readFileSync(about))) return
  const { joinTypebox } = await import('../packaging/join-typebox.mjs')
  joinTypebox('dist/node_modules/typebox/build')
  copyFileSync(about, joined)
}

const purpose = process.argv[2] ?? 'test'
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) stop(`Node.js 20.19 or later is needed, this is ${process.version}`)
installPrograms(purpose)
if (purpose !== 'package') openFuseDevice()
if (!areModulesCurrent() && !run('npm', ['ci', '--no-audit', '--no-fund'])) stop('npm could not install the packages')
console.log('setup: compiles the source and its tests: half a minute the first time')
if (spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '--build'], { stdio: 'inherit' }).status !== 0) {
  stop('the source does not compile')
}
if (purpose !== 'package') await joinModules()
