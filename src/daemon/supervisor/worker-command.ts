import { fileURLToPath } from 'node:url'
import { RECORD_ROOM } from '../mount/mount-record.ts'
import type { WorkerSpec } from '../worker-protocol.ts'

/** What V8 may take, MiB; buffers are not part of it. */
const HEAP_MIB = 1024
/** For whoever was started by the service manager, and nobody else. */
const OF_THE_SERVICE = /^(NOTIFY_SOCKET|WATCHDOG_|LISTEN_)/

export interface WorkerCommand {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/**
 * How a worker is started. One that gives up root gets none of it back from programs that have more rights (no_new_privs), dumps
 * no core, which would hold data of volumes, and can make no file longer than the record of its mount: that lies in memory.
 */
export function workerCommand(program: URL, { mount, mountpoint, account, engine }: WorkerSpec): WorkerCommand {
  const node = [process.execPath, ...process.execArgv, `--max-old-space-size=${HEAP_MIB}`]
  const worker = [...node, fileURLToPath(program), mount, mountpoint]
  const limits = ['prlimit', '--core=0', `--fsize=${RECORD_ROOM}`, '--']
  // fuse-native mounts through fusermount, which has more rights
  const isConfined = account !== undefined && engine === 'kernel'
  const [first = '', ...args] = isConfined ? ['setpriv', '--no-new-privs', '--', ...limits, ...worker] : worker
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OF_THE_SERVICE.test(name)))
  return { program: first, args, env }
}
