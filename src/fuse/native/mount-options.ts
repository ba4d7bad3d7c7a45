import type { MountOptions } from '../engine.ts'

/** The largest read and write that libfuse 2.9 can take, its request buffer less a header (fuse_kern_chan.c). */
const LARGEST_REQUEST = 128 * 1024

/** Asynchronous requests (read-ahead, AIO) that the kernel may have waiting; its own choice would be 12. */
const MAX_BACKGROUND = 128

/**
 * The `-o…` argument of libfuse 2.9. Names and attributes are asked for at every use, since libfuse cannot tell the kernel
 * when one has changed. O_TRUNC comes with open(2), because a truncation by path does not say whose it is.
 */
export function libfuseOptions(options: MountOptions, privileges: { readonly root: boolean }): string {
  const list = [
    `fsname=${escapeOption(options.source)}`,
    'subtype=sheepfs',
    'default_permissions',
    'use_ino',
    'entry_timeout=0',
    'attr_timeout=0',
    'big_writes',
    'atomic_o_trunc',
    `max_write=${LARGEST_REQUEST}`,
    `max_readahead=${LARGEST_REQUEST}`,
    `max_background=${MAX_BACKGROUND}`,
    `congestion_threshold=${(MAX_BACKGROUND * 3) / 4}`,
    ...cachingOptions(options.caching),
  ]
  if (options.allowOther) list.push('allow_other')
  // libfuse itself refuses a mountpoint with files in it, for root only; mount(8) and fusermount3 do not
  if (privileges.root) list.push('nonempty')
  return `-o${list.join(',')}`
}

/**
 * In libfuse 2 either all files of a mount bypass the page cache or none does. auto_cache keeps the cached pages over
 * an open(2) unless size or modification time have changed.
 */
function cachingOptions(caching: MountOptions['caching']): string[] {
  return caching === 'direct' ? ['direct_io'] : ['auto_cache', 'ac_attr_timeout=0']
}

function escapeOption(value: string): string {
  return value.replace(/[\\,]/g, '\\$&')
}
