import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { SheepfsError } from '../../errors.ts'
import type { MountOptions } from '../engine.ts'
import { isRoot } from '../unmount.ts'

/** What fits into the buffers of fuse-native.c, with the NUL; it would cut longer ones without a word. */
const NATIVE_TEXT_LIMIT = 1023

/**
 * Looks for what would make libfuse or fusermount refuse the mount, because they tell their reasons to stderr only.
 * Errors: not-supported, not-permitted, name-too-long.
 */
export async function checkPrerequisites(options: MountOptions): Promise<void> {
  if (process.platform !== 'linux') {
    throw new SheepfsError('not-supported', `engine fuse-native serves Linux, not ${process.platform}`)
  }
  if (!isMainThread) throw new SheepfsError('not-supported', 'engine fuse-native needs the main thread')
  await checkDevice()
  if (!isRoot()) await checkFusermount(options)
}

/** Throws name-too-long when one of the texts for fuse-native.c exceeds its buffer. */
export function checkNativeTexts(texts: { readonly mountpoint: string; readonly options: string }): void {
  for (const [name, text] of Object.entries(texts)) {
    const length = Buffer.byteLength(text)
    if (length <= NATIVE_TEXT_LIMIT) continue
    const message = `${name} of a mount: ${length} bytes, at most ${NATIVE_TEXT_LIMIT} are possible with fuse-native`
    throw new SheepfsError('name-too-long', message)
  }
}

async function checkDevice(): Promise<void> {
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    throw missing
      ? new SheepfsError('not-supported', '/dev/fuse is missing: load the kernel module ("modprobe fuse")', { cause })
      : new SheepfsError('not-permitted', '/dev/fuse may not be opened by this user', { cause })
  }
}

/** The rules by which fusermount lets an ordinary user mount (fusermount.c). */
async function checkFusermount({ mountpoint, allowOther }: MountOptions): Promise<void> {
  if (!(await hasFusermount())) {
    throw new SheepfsError('not-supported', 'fusermount is not installed: install the package fuse3')
  }
  if (allowOther && !(await allowsOther())) {
    const message = 'allow_other is for root only, unless /etc/fuse.conf has the line "user_allow_other"'
    throw new SheepfsError('not-permitted', message)
  }
  try {
    await access(mountpoint, constants.W_OK)
  } catch (cause) {
    const message = `mountpoint "${mountpoint}" must be writable by the user who mounts`
    throw new SheepfsError('not-permitted', message, { cause })
  }
}

/** Whether the program by which an ordinary user mounts is in the path; libfuse 2.9 runs it by this name. */
export async function hasFusermount(): Promise<boolean> {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = await Promise.all(folders.map((folder) => canAccess(join(folder, 'fusermount'), constants.X_OK)))
  return found.includes(true)
}

/** Whether fusermount lets an ordinary user let others in, as far as that can be seen. */
export async function allowsOther(): Promise<boolean> {
  // fusermount reads the file with its own privileges: one that is hidden from this user may still allow it
  if (!(await canAccess('/etc/fuse.conf', constants.R_OK))) return canAccess('/etc/fuse.conf', constants.F_OK)
  return /^\s*user_allow_other\s*$/m.test(await readFile('/etc/fuse.conf', 'utf8'))
}

async function canAccess(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
