import type { Logger } from '../../log.ts'
import type { Tree, TreeChange } from '../../tree/node.ts'
import { notifyInvalAttributes, notifyInvalContent, notifyInvalEntry } from '../../wire/fuse-notify.ts'
import type { Device } from './device.ts'

/**
 * Tells the kernel what it must not believe any longer. What can block in the kernel until this process has answered
 * some request (docs/fuse-kernel-protocol.md#10) goes aside, one message at a time; a second message for the same thing
 * replaces one that still waits.
 */
export class Notifier {
  readonly #device: Device
  readonly #log: Logger
  readonly #waiting = new Map<string, Uint8Array>()
  #sending: Promise<void> | undefined
  #unwatch: (() => void) | undefined

  constructor(device: Device, log: Logger) {
    this.#device = device
    this.#log = log
  }

  start(tree: Tree): void {
    this.#unwatch = tree.watch((change) => {
      this.#notify(change)
    })
  }

  /** Drops what waits; resolves when nothing is being written any more. */
  async close(): Promise<void> {
    this.#unwatch?.()
    this.#waiting.clear()
    await this.#sending
  }

  /** What is cached of a node may be wrong. */
  dropContent(node: number): void {
    this.#sendAside(`content ${node}`, notifyInvalContent(node))
  }

  #notify(change: TreeChange): void {
    switch (change.kind) {
      case 'attributes':
        // Under write-back caching the kernel keeps a file's size to itself and takes only the other attributes.
        this.#sendNow(notifyInvalAttributes(change.node))
        return
      case 'content':
        this.dropContent(change.node)
        return
      case 'entry-added': // absent names are not cached
      case 'times': // it asks for them
      case 'entry-kept':
      case 'truncated': // the answer to who did it says so
        return
      case 'entry-removed': {
        const name = Buffer.from(change.name, 'utf8')
        this.#sendAside(`entry ${change.parent} ${change.name}`, notifyInvalEntry(change.parent, name))
      }
    }
  }

  #sendNow(message: Uint8Array): void {
    try {
      this.#device.send(message)
    } catch (error) {
      this.#log.warn({ err: error }, 'the kernel refused a notification')
    }
  }

  #sendAside(key: string, message: Uint8Array): void {
    this.#waiting.set(key, message)
    this.#sending ??= this.#drain()
  }

  async #drain(): Promise<void> {
    for (const [key, message] of this.#waiting) {
      this.#waiting.delete(key)
      try {
        await this.#device.sendAside(message)
      } catch (error) {
        this.#log.warn({ err: error }, 'the kernel refused a notification')
      }
    }
    this.#sending = undefined
  }
}
