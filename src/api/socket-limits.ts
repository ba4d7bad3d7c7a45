/** What those who use a socket may take together. */
export interface SocketLimits {
  /** Open at once; a new one takes the place of the one that has asked nothing for longest. */
  readonly connections: number
  /** Requests at once that may have to wait for a cluster. */
  readonly waiting: number
  /** Event streams at once. */
  readonly streams: number
  /** Requests that are begun in a second; more wait for their turn. */
  readonly requestsPerSecond: number
  /** For the head of a request, and for all of it, from its first byte or the connection on. */
  readonly headMs: number
  readonly requestMs: number
  /** For the next request on a connection. */
  readonly idleMs: number
  /** For a client to take more of an answer, or an event; more than the pause between signs of life in an event stream. */
  readonly unreadMs: number
}

const TIMES = { headMs: 10_000, requestMs: 20_000, idleMs: 10_000, unreadMs: 40_000 }

/** Who may use the control socket is trusted with the mounts; a script of his may be in error. */
export const CONTROL_LIMITS: SocketLimits = {
  ...{ connections: 4096, waiting: 512, streams: 128, requestsPerSecond: Infinity },
  ...TIMES,
}

/** Anybody. */
export const OBSERVER_LIMITS: SocketLimits = {
  ...{ connections: 4096, waiting: 128, streams: 64, requestsPerSecond: 100 },
  ...TIMES,
}

/** At most `connections` of them, of which some are always left for what is answered at once. */
export function limitsWithin(limits: SocketLimits, connections: number): SocketLimits {
  const most = Math.min(limits.connections, Math.max(8, connections))
  return {
    ...limits,
    connections: most,
    waiting: Math.min(limits.waiting, Math.floor(most / 2)),
    streams: Math.min(limits.streams, Math.floor(most / 4)),
  }
}
