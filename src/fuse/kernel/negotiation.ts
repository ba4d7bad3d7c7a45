import {
  FUSE_BUFFER_HEADER_SIZE,
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FuseInit,
  FuseInit2,
} from '../../wire/fuse-abi.ts'
import { initOut, type FuseMessage } from '../../wire/fuse-reply.ts'
import { FuseInitIn } from '../../wire/fuse-structs.ts'
import { LARGEST_BUFFER } from './buffer-pool.ts'
import { ARGS, type Request } from './operation.ts'

/**
 * What kernel and session agreed on. Plain data: a successor of the session needs it, because the kernel asks once
 * (docs/fuse-kernel-protocol.md#4).
 */
export interface Negotiated {
  readonly minor: number
  readonly flags: number
  readonly flags2: number
  readonly maxWrite: number
  readonly maxPages: number
  /** The kernel can send unanswered requests again (FUSE_NOTIFY_RESEND). */
  readonly canResend: boolean
}

/** Whether cached files write back, and the kernel owns the sizes and times of all of them, for as long as the mount lives. */
export function isWrittenBack({ flags }: Negotiated): boolean {
  return (flags & FuseInit.WRITEBACK_CACHE) !== 0
}

/** Largest READ and WRITE: with their headers they fill a buffer. */
const MAX_WRITE = LARGEST_BUFFER - FUSE_BUFFER_HEADER_SIZE
const PAGE = 4096
/**
 * Asynchronous direct requests in flight: a loop device alone has a queue of 128, the kernel's default is 12
 * (docs/fuse-kernel-protocol.md#3).
 */
const MAX_BACKGROUND = 256

const WANTED =
  FuseInit.ASYNC_READ |
  FuseInit.BIG_WRITES |
  FuseInit.DO_READDIRPLUS |
  FuseInit.READDIRPLUS_AUTO |
  FuseInit.ASYNC_DIO |
  FuseInit.PARALLEL_DIROPS |
  FuseInit.ABORT_ERROR |
  FuseInit.MAX_PAGES |
  FuseInit.EXPLICIT_INVAL_DATA |
  FuseInit.INIT_EXT

/**
 * Linux 6.6 to 6.8 (7.39) give up parallel direct writes for it; 7.40 came with 6.9 (docs/fuse-kernel-protocol.md#4,
 * #15).
 */
const MMAP_SINCE_MINOR = 40

/** The reply of INIT; without `negotiated`, the kernel asks again in the version it was told. undefined: too old. */
export function negotiate(
  request: Request,
  options: { readonly writeBack: boolean },
): { reply: FuseMessage; negotiated?: Negotiated } | undefined {
  const { view, length } = request
  const major = FuseInitIn.major.get(view, ARGS)
  if (major < FUSE_KERNEL_VERSION) return undefined
  const minor = Math.min(FuseInitIn.minor.get(view, ARGS), FUSE_KERNEL_MINOR_VERSION)
  const hasFlags2 = length >= ARGS + FuseInitIn.flags2.offset + FuseInitIn.flags2.size
  const offered2 = hasFlags2 ? FuseInitIn.flags2.get(view, ARGS) : 0
  const wanted2 = minor >= MMAP_SINCE_MINOR ? FuseInit2.DIRECT_IO_ALLOW_MMAP | FuseInit2.HAS_RESEND : 0
  const negotiated = {
    minor,
    flags: FuseInitIn.flags.get(view, ARGS) & (options.writeBack ? WANTED | FuseInit.WRITEBACK_CACHE : WANTED),
    flags2: offered2 & wanted2,
    maxWrite: MAX_WRITE,
    maxPages: MAX_WRITE / PAGE,
    canResend: (offered2 & FuseInit2.HAS_RESEND) !== 0,
  }
  const reply = initOut({
    ...negotiated,
    major: FUSE_KERNEL_VERSION,
    maxReadahead: FuseInitIn.maxReadahead.get(view, ARGS),
    maxBackground: MAX_BACKGROUND,
    congestionThreshold: MAX_BACKGROUND * 0.75,
  })
  return major === FUSE_KERNEL_VERSION ? { reply, negotiated } : { reply }
}
