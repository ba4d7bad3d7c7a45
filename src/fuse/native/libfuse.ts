import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { NativeBinding } from './binding.ts'
import type { HandlerTable } from './dispatch.ts'

/** How often to look whether libfuse has ended; it tells nobody. */
const LOOK_MS = 100

/**
 * Threads of libfuse after which a warning is due. It ends threads when more than ten idle and starts new ones at the next
 * burst of requests; fuse-native gives nothing of an ended one back, and each makes every later request a little slower.
 */
const MANY_THREADS = 20_000

/** A running libfuse, which has mounted and serves from its own threads. */
export interface Libfuse {
  /** Resolves when the kernel has ended the connection and libfuse has answered what it had taken. */
  readonly ended: Promise<void>
}

/** Mounts and starts serving. Blocks while fusermount runs. Errors: not-permitted, when libfuse or fusermount refuses. */
export function startLibfuse(
  binding: NativeBinding,
  mount: { readonly mountpoint: string; readonly options: string; readonly table: HandlerTable; readonly log: Logger },
): Libfuse {
  const { mountpoint, options, table, log } = mount
  const thread = Buffer.alloc(binding.sizeof_fuse_thread_t)
  const before = fuseDescriptors()
  try {
    binding.fuse_native_mount(
      mountpoint,
      options,
      thread,
      { thread },
      threadMemory(log),
      table.handlers,
      table.implemented,
    )
  } catch (cause) {
    const message = `cannot mount at "${mountpoint}": libfuse or fusermount refused (its reason is on standard error)`
    throw new SheepfsError('not-permitted', message, { cause })
  }
  const descriptor = fuseDescriptors().find((open) => !before.includes(open))
  return { ended: waitForEnd(binding, { mountpoint, thread, descriptor }) }
}

/** Gives the memory that fuse-native wants for each thread of libfuse. */
function threadMemory(log: Logger): (size: number) => Buffer {
  let threads = 0
  return (size) => {
    threads++
    if (threads === MANY_THREADS)
      log.warn({ threads }, 'fuse-native gets slower with each burst of requests: restart sheepfs')
    return Buffer.alloc(size)
  }
}

interface Serving {
  readonly mountpoint: string
  readonly thread: Buffer
  readonly descriptor: string | undefined
}

/** libfuse closes its descriptor when its loop has ended and its threads are joined (fuse_unmount). */
async function waitForEnd(binding: NativeBinding, { mountpoint, thread, descriptor }: Serving): Promise<void> {
  while (descriptor !== undefined && isFuseDescriptor(descriptor)) await delay(LOOK_MS)
  binding.fuse_native_unmount(mountpoint, thread)
}

function fuseDescriptors(): readonly string[] {
  return readdirSync('/proc/self/fd').filter(isFuseDescriptor)
}

function isFuseDescriptor(descriptor: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === '/dev/fuse'
  } catch {
    return false // closed
  }
}
