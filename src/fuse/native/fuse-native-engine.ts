import { checkMountpoint } from '../mountpoint.ts'
import type { Engine } from '../engine.ts'
import { loadBinding } from './binding.ts'
import { mountNative } from './native-mount.ts'
import { checkPrerequisites } from './preflight.ts'

/**
 * libfuse 2.9 through the addon of fuse-native: for any user who may run fusermount. Requests are at most 128 KiB,
 * synchronous writes to one file go one after the other, and the page cache is on or off for the whole mount.
 */
export const fuseNativeEngine: Engine = {
  name: 'fuse-native',

  async mount(tree, options) {
    const resolved = { ...options, mountpoint: await checkMountpoint(options.mountpoint) }
    await checkPrerequisites(resolved)
    return mountNative(loadBinding(), tree, resolved)
  },
}
