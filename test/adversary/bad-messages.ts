import { STATE } from './captured-worker.ts'

export const HANDLE = { fh: 1, node: 4, caching: 'direct', request: 0, pid: 0, sinceS: 1.5 } as const
export const TIMES = { modifiedMs: 1.5, changedMs: 2, isMoving: false }
function state(change: object): object {
  return { kind: 'state', state: { ...STATE, ...change } }
}

function volume(change: object): object {
  return state({ volumes: [{ ...STATE.volumes[0], ...change }] })
}

/** None of them is a message; all can be sent as JSON. */
export const BAD: readonly unknown[] = [
  ...[
    null,
    7,
    'state',
    [],
    {},
    true,
    { kind: null },
    { kind: 'constructor' },
    { kind: '__proto__' },
    { kind: 'start' },
  ],
  ...[{ kind: 'toString' }, { kind: ['state'] }, { kind: 'NODE_HANDLE' }],
  ...[{ kind: 'state' }, { kind: 'state', state: null }, { kind: 'state', state: [] }, { kind: 'state', state: 'x' }],
  ...[state({ volumes: null }), state({ volumes: {} }), state({ volumes: [null] }), state({ volumes: 'abc' })],
  ...[volume({ name: '../../etc/shadow' }), volume({ name: '' }), volume({ name: '.' }), volume({ name: 'a/b' })],
  ...[
    volume({ name: 'a\nMAINPID=1' }),
    volume({ name: 'x'.repeat(5000) }),
    volume({ nodeId: -1 }),
    volume({ size: 0.5 }),
  ],
  ...[
    volume({ readOnly: 'yes' }),
    volume({ inode: { vid: 7, createdAt: 'x' } }),
    volume({ times: { ...TIMES, modifiedMs: 1e300 } }),
  ],
  ...[state({ addresses: [{ host: 'a\n', port: 1 }] }), state({ ioTimeoutMs: -1 }), state({ negotiated: 1 })],
  ...[state({ locks: [{ vid: 1 }] }), state({ pageCache: 1 }), state({ nextNodeId: 2 ** 60 })],
  ...[{ kind: 'opened', handle: null }, { kind: 'opened', handle: { ...HANDLE, pid: '../1' } }, { kind: 'opened' }],
  ...[{ kind: 'closed' }, { kind: 'closed', fh: '1' }, { kind: 'waiting', sinceMs: 1e300, reason: '' }],
  ...[
    { kind: 'waiting', sinceMs: 1, reason: null },
    { kind: 'progress', progress: { operation: 'format' } },
  ],
  ...[
    { kind: 'attachment', event: { kind: 'attached', volume: '/etc' } },
    { kind: 'grown', volume: 'a', size: -1 },
  ],
  ...[{ kind: 'grown', volume: '../x', size: 1 }, { kind: 'times', volumes: [{ name: 'a' }] }, { kind: 'answer' }],
  ...[
    { kind: 'refusal', id: 1, error: { code: 'constructor', message: '' } },
    { kind: 'refusal', id: 1 },
  ],
  ...[
    { kind: 'ended', error: 'x' },
    { kind: 'ended', error: { code: 'io' } },
  ],
]
