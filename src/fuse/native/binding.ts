import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { SheepfsError, errorText } from '../../errors.ts'

/** A request that libfuse waits for; answered by exactly one signal. Its data buffers live until then and no longer. */
export type NativeRequest = Buffer

/** Called on the main thread for each request, with its arguments as fuse-native.c lays them out per operation. */
export type NativeHandler = (request: NativeRequest, opcode: number, ...args: never[]) => void

type Signal<Payload extends unknown[]> = (request: NativeRequest, result: number, ...payload: Payload) => void

/**
 * The addon in fuse-native 2.2.6 (fuse-native.c), libfuse 2.9 for Node. `result` is 0 or more, or a negative errno.
 * The JavaScript half of the package is not used: it unmounts lazily and through a shell, cannot be told that a mount has
 * ended, and drops the file handle of fgetattr.
 */
export interface NativeBinding {
  readonly sizeof_fuse_thread_t: number
  /**
   * Mounts, synchronously, and serves from threads of its own. `thread` (sizeof_fuse_thread_t) and everything `malloc`
   * returned stay linked in the event loop for the life of the process: `context` must keep them.
   */
  fuse_native_mount(
    mountpoint: string,
    options: string,
    thread: Buffer,
    context: object,
    malloc: (size: number) => Buffer,
    handlers: readonly (NativeHandler | undefined)[],
    implemented: Uint32Array,
  ): void
  /** Lets the event loop end; unmounts nothing. */
  fuse_native_unmount(mountpoint: string, thread: Buffer): void

  readonly op_init: number
  readonly op_statfs: number
  readonly op_fgetattr: number
  readonly op_getattr: number
  readonly op_fsync: number
  readonly op_readdir: number
  readonly op_truncate: number
  readonly op_ftruncate: number
  readonly op_utimens: number
  readonly op_chown: number
  readonly op_chmod: number
  readonly op_mknod: number
  readonly op_open: number
  readonly op_read: number
  readonly op_write: number
  readonly op_release: number
  readonly op_create: number
  readonly op_unlink: number
  readonly op_rename: number
  readonly op_link: number
  readonly op_symlink: number
  readonly op_mkdir: number
  readonly op_rmdir: number

  readonly fuse_native_signal_init: Signal<[]>
  readonly fuse_native_signal_statfs: Signal<[statfs: Uint32Array]>
  readonly fuse_native_signal_fgetattr: Signal<[stat: Uint32Array]>
  readonly fuse_native_signal_getattr: Signal<[stat: Uint32Array]>
  readonly fuse_native_signal_fsync: Signal<[]>
  readonly fuse_native_signal_readdir: Signal<[names: readonly string[], stats: readonly Uint32Array[]]>
  readonly fuse_native_signal_truncate: Signal<[]>
  readonly fuse_native_signal_ftruncate: Signal<[]>
  readonly fuse_native_signal_utimens: Signal<[]>
  readonly fuse_native_signal_chown: Signal<[]>
  readonly fuse_native_signal_chmod: Signal<[]>
  readonly fuse_native_signal_mknod: Signal<[]>
  /** `file` 1 to 2^31-1 comes back as the handle of every request on this open. */
  readonly fuse_native_signal_open: Signal<[file: number]>
  /** Detaches `memory`, the ArrayBuffer that was filled. */
  readonly fuse_native_signal_read: Signal<[unused: number, memory: ArrayBufferLike]>
  /** Detaches `memory`, the ArrayBuffer that was written. */
  readonly fuse_native_signal_write: Signal<[unused: number, memory: ArrayBufferLike]>
  readonly fuse_native_signal_release: Signal<[]>
  readonly fuse_native_signal_create: Signal<[file: number]>
  readonly fuse_native_signal_unlink: Signal<[]>
  readonly fuse_native_signal_rename: Signal<[]>
  readonly fuse_native_signal_link: Signal<[]>
  readonly fuse_native_signal_symlink: Signal<[]>
  readonly fuse_native_signal_mkdir: Signal<[]>
  readonly fuse_native_signal_rmdir: Signal<[]>
}

/** Loads the addon. Errors: not-supported, and why. */
export function loadBinding(): NativeBinding {
  try {
    const packagePath = dirname(createRequire(import.meta.url).resolve('fuse-native/package.json'))
    const load = createRequire(join(packagePath, 'package.json'))('node-gyp-build') as (path: string) => unknown
    return loadWithLibfuse(packagePath, load) as NativeBinding
  } catch (cause) {
    const reason = errorText(cause)
    throw new SheepfsError('not-supported', `engine fuse-native is not available here: ${reason}`, { cause })
  }
}

function loadWithLibfuse(packagePath: string, load: (path: string) => unknown): unknown {
  try {
    return load(packagePath)
  } catch (error) {
    if (!errorText(error).includes('libfuse.so.2')) throw error
    preload(join(packagePath, 'prebuilds', `${process.platform}-${process.arch}`, 'libfuse.so'))
    return load(packagePath)
  }
}

/**
 * The prebuilt addon wants libfuse.so.2 and has no run path to the copy beside it. Once that copy is loaded, the dynamic
 * linker takes it by its soname. Node unloads what is no addon, so it must stay by RTLD_NODELETE (0x1000 in glibc, musl).
 */
function preload(library: string): void {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | 0x1000)
  } catch (error) {
    if (!errorText(error).includes('self-register')) throw error
  }
}
