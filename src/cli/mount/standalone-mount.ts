import { mkdir, mkdtemp, readdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { errorText, SheepfsError } from '../../errors.ts'
import { HeldProgram } from '../../daemon/system/held-program.ts'
import type { LoopDevice } from '../../daemon/device/loop-device.ts'
import type { MountRequest } from './mount-request.ts'
import type { StandaloneSource } from './mount-source.ts'
import { runSystemProgram } from '../../daemon/system/system-program.ts'
import { withVolumeLock } from '../../daemon/device/volume-lock.ts'
import { mountLoop, takeVolume } from './volume-mount.ts'
import { findSharedLoop, noteSharedLoop } from './shared-loop.ts'

const SHEEPFS = fileURLToPath(new URL('../sheepfs.js', import.meta.url))
const RUNTIME_DIRECTORY = '/run/sheepfs'
const BUSY_LIMIT_MS = 10_000
const BUSY_PAUSE_MS = 100

/** Takes a tree away when nobody needs it any more, or the mount has been killed, and removes its folder. */
const DROP_LATER = 'trap "" INT TERM HUP; echo "$1"; cat >/dev/null; umount -i -l "$1" 2>/dev/null; rmdir "$1"'

/**
 * The scope keeps the daemon alive when the session or unit that mounts ends, and, at shutdown, until the network mounts
 * are unmounted: what is mounted here counts as one of them.
 */
const SCOPE = ['--scope', '--quiet', '--collect', '--slice=system.slice', '--property=Before=remote-fs-pre.target']

/** Mounts the tree of a cluster with a daemon of its own, which ends with the mount. Errors: those of sheepfs. */
export async function mountStandaloneTree(source: StandaloneSource, request: MountRequest): Promise<void> {
  const { options, directory, undo } = request
  await startSheepfs(source, request, [...(options.allowOther ? ['--allow-other'] : []), directory])
  undo.add(() => unmount(directory))
}

/**
 * Mounts the file system in a volume with a daemon of its own, or with that of an earlier mount of it. The daemon's tree is
 * detached as soon as the loop device has the volume open: from then on the kernel ends it with the loop device. Errors: of
 * sheepfs, the loop device and mount(8); busy when the volume is mounted already, in another way.
 */
export async function mountStandaloneVolume(source: StandaloneSource, request: MountRequest): Promise<void> {
  const { signal, undo } = request
  const loop = await withVolumeLock(`standalone ${source.volume ?? ''}`, signal, async (file) => {
    const shared = await findSharedLoop(file, source, request)
    if (shared) return shared
    const own = await serveVolume(source, request)
    undo.add(() => own.release())
    await noteSharedLoop(file, source, request, own)
    return own
  })
  await mountLoop(loop, request)
}

/** A loop device over a volume that a new daemon serves, and that only the device has open. */
async function serveVolume(source: StandaloneSource, request: MountRequest): Promise<LoopDevice> {
  const { options, signal, undo } = request
  await mkdir(RUNTIME_DIRECTORY, { recursive: true, mode: 0o755 })
  const tree = await mkdtemp(join(RUNTIME_DIRECTORY, 'mount.'))
  const keeper = await HeldProgram.start('sh', ['-c', DROP_LATER, 'sh', tree], signal)
  undo.add(() => keeper.release())
  const lock = options.breakLock ? ['--break-lock'] : []
  await startSheepfs(source, request, ['--attach', source.volume ?? '', ...lock, tree])
  const [file] = await readdir(join(tree, 'volume'))
  if (file === undefined) throw new SheepfsError('io', `${source.text}: sheepfs has attached no volume`)
  const loop = await takeVolume(join(tree, 'volume', file), request)
  await keeper.release()
  return loop
}

async function startSheepfs(source: StandaloneSource, request: MountRequest, args: readonly string[]): Promise<void> {
  const { options, signal, tell } = request
  const caches = [...(options.pageCache ? ['--pagecache'] : []), ...(options.objectCache ? ['--objectcache'] : [])]
  const sheepfs = [SHEEPFS, '-a', source.addresses, '--source', source.text, ...caches, ...args]
  const [program = '', ...command] = [...scope(), process.execPath, ...sheepfs]
  try {
    await runSystemProgram(program, command, { signal })
  } catch (error) {
    if (!(error instanceof SheepfsError) || error.code !== 'io') throw error
    throw new SheepfsError('io', error.message.replace(/^sheepfs: /, ''), { cause: error })
  }
  tell(`a sheepfs of its own serves ${source.addresses}`)
}

function scope(): readonly string[] {
  const isSystemd = existsSync('/run/systemd/system') && process.geteuid?.() === 0
  return isSystemd ? ['systemd-run', ...SCOPE, '--'] : []
}

/**
 * A loop device that was just let go may keep its file open for a moment longer, and the mount busy
 * (docs/fuse-kernel-protocol.md#14).
 */
async function unmount(directory: string): Promise<void> {
  const until = performance.now() + BUSY_LIMIT_MS
  for (;;) {
    try {
      await runSystemProgram('umount', ['-i', directory])
      return
    } catch (error) {
      if (!errorText(error).includes('busy') || performance.now() > until) throw error
      await pause(BUSY_PAUSE_MS)
    }
  }
}
