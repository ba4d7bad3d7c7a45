/** How a connection to the kernel ended. */
export type DeviceEnd = 'unmounted' | 'aborted'

/**
 * A connection to the kernel: messages in, messages out. One reader, which alternates between `receive` until there is
 * nothing and `awaken`.
 */
export interface Device {
  /** Calls `wake` once per `awaken`, when `receive` may have something. */
  start(wake: () => void): void
  awaken(): void
  /**
   * Puts the next request in `into`, of at least max_write + 4096 bytes, and returns its length; 0 when there is none now.
   * Throws what the kernel should never answer.
   */
  receive(into: Uint8Array): number | DeviceEnd
  /** A reply or a notification that cannot block. One that nobody waits for any more is dropped; throws when refused. */
  send(message: Uint8Array): void
  /** A notification that may block, from another thread. */
  sendAside(message: Uint8Array): Promise<void>
  /** Stops waking. The descriptor stays open: it belongs to whoever opened it. */
  close(): void
}
