import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { EngineName } from '../../../src/fuse/engine.ts'

/** The engines, each to be tested alike. */
export const TESTED_ENGINES: readonly EngineName[] = ['kernel', 'fuse-native']

/** Optional for npm, which leaves it out when it cannot be compiled. */
const SD_NOTIFY = join(import.meta.dirname, '../../../../node_modules/sd-notify/build/Release/notify.node')

export type Need = keyof typeof CHECKS

/** Why something cannot be tested on this machine, for `skip`; false when it can. */
export function missing(...needs: readonly Need[]): string | false {
  return needs.map((need) => CHECKS[need]()).find((reason) => reason !== undefined) ?? false
}

const CHECKS = {
  fuse: () => (existsSync('/dev/fuse') ? undefined : 'no /dev/fuse'),
  root: () => (process.getuid?.() === 0 ? undefined : 'only root may mount and take loop devices'),
  loop: () => (existsSync('/dev/loop-control') ? undefined : 'no /dev/loop-control'),
  dog: () => program('dog'),
  fio: () => program('fio'),
  rsync: () => program('rsync'),
  mkfs: () => program('mkfs.ext4'),
  tgtd: () => program('tgtd'),
  qemuImg: () => program('qemu-img'),
  zstd: () => program('zstd'),
  lz4: () => program('lz4'),
  ddrescue: () => program('ddrescue'),
  qemuIscsi: () => (hasPlugin('qemu/block-iscsi.so') ? undefined : 'qemu-img cannot speak iSCSI: no block-iscsi.so'),
  fusermount: () => program('fusermount'),
  mandoc: () => program('mandoc'),
  promtool: () => program('promtool'),
  prometheus: () => program('prometheus'),
  groff: () => program('groff'),
  zsh: () => program('zsh'),
  fish: () => program('fish'),
  rpmbuild: () => program('rpmbuild'),
  rpmlint: () => program('rpmlint'),
  lintian: () => program('lintian'),
  shellcheck: () => program('shellcheck'),
  ip: () => program('ip'),
  dh: () => program('dh'),
  curl: () => program('curl'),
  borg: () => program('borg'),
  restic: () => program('restic'),
  systemdAnalyze: () => program('systemd-analyze'),
  sdNotify: () => (existsSync(SD_NOTIFY) ? undefined : 'no package can be built: sd-notify is not compiled'),
} as const

function program(name: string): string | undefined {
  const own = (process.env['PATH'] ?? '').split(':')
  const folders = [...own, '/usr/local/bin', '/usr/local/sbin', '/usr/bin', '/usr/sbin', '/bin', '/sbin']
  return folders.some((folder) => isExecutable(`${folder}/${name}`)) ? undefined : `no ${name}`
}

/** Below the folder of whatever architecture this is. */
function hasPlugin(path: string): boolean {
  return readdirSync('/usr/lib').some((folder) => existsSync(`/usr/lib/${folder}/${path}`))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
