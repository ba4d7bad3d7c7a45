import { WorkerClient, type WorkerWatcher } from '../../src/daemon/supervisor/worker-client.ts'
import type { MountState, WorkerSpec, WorkerStart } from '../../src/daemon/worker-protocol.ts'
import { silentLogger } from '../../src/log.ts'
import type { Deed } from './hostile-worker.ts'

export const STATE: MountState = {
  negotiated: { minor: 38, flags: -1, flags2: 0, maxWrite: 1 << 20, maxPages: 256, canResend: true },
  volumes: [{ name: 'db@1', nodeId: 4, readOnly: true, size: 7, inode: { vid: 7, createdAt: '0123456789abcdef' } }],
  nextNodeId: 5,
  pageCache: true,
  objectCache: false,
  addresses: [{ host: '127.0.0.1', port: 7000 }],
  ioTimeoutMs: Infinity,
  gateways: [],
  locks: [{ vid: 9, owner: '127.0.0.1:7000' }],
}

const START: Omit<WorkerStart, 'spec'> = {
  ...{ kind: 'start', purpose: 'serve', state: STATE, handles: [], generation: 1, isKept: false },
}

const SPEC: Omit<WorkerSpec, 'mount'> = {
  ...{ engine: 'kernel', mountpoint: '/', allowOther: false, writeBack: false, uid: 0, gid: 0, volumeMode: 0o600 },
  ...{ networks: [], logLevel: 'silent', account: undefined },
}

const PROGRAM = new URL('hostile-worker.js', import.meta.url)

/** Starts a worker that does these deeds. */
export function captureWorker(deeds: readonly Deed[], watcher: WorkerWatcher): WorkerClient {
  const start = { ...START, spec: { ...SPEC, mount: JSON.stringify(deeds) } }
  const fds = { device: undefined, record: undefined }
  return new WorkerClient(start, { fds, log: silentLogger(), watcher, program: PROGRAM })
}
