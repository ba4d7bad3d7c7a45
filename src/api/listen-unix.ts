import { chmod, chown, lstat, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { SheepfsError, errorText } from '../errors.ts'
import type { App } from './app.ts'
import { groupIdOf } from './group-id.ts'

export interface ListenOptions {
  /** Absolute; its directory exists and nobody else may write in it. */
  readonly path: string
  /** Permission bits of the socket: who may write may connect. */
  readonly mode: number
  /** Name or number; without it the group of the process. */
  readonly group?: string | undefined
}

/** An application that listens. */
export interface Listening {
  /** No new requests, then the end of those that run, and of event streams; the socket is removed. Idempotent. */
  close(): Promise<void>
}

/** sun_path of struct sockaddr_un, without the NUL. */
const LONGEST_PATH = 107
const CONNECT_LIMIT_MS = 2000
/** A client that does not read its answer holds up the end no longer than this. */
const CLOSE_LIMIT_MS = 2000

/**
 * Listens on a unix socket, which appears with its mode and group, never without. A leftover of a dead daemon is replaced.
 * Errors: busy (a live one answers), exists (not a socket), invalid (path, group), not-found, not-permitted.
 */
export async function listenUnix(app: App, { path, mode, group }: ListenOptions): Promise<Listening> {
  checkSocketPath(path)
  await checkDirectory(path)
  await checkLeftover(path)
  const groupId = group === undefined ? undefined : await groupIdOf(group, 'group')
  // bound where nobody else can get at it, and put in place with a rename when it is as it should be
  const hidden = await mkdtemp(join(dirname(path), '.s'))
  try {
    const socket = join(hidden, 's')
    await app.listen({ path: socket, listenTextResolver: () => `listens on ${path}` })
    if (groupId !== undefined) await setGroup(socket, groupId, group ?? '')
    await chmod(socket, mode)
    await rename(socket, path)
  } catch (error) {
    await app.close()
    throw error
  } finally {
    await rm(hidden, { recursive: true, force: true })
  }
  const { ino } = await lstat(path)
  return {
    close: async () => {
      const present = await lstat(path).catch(() => undefined)
      if (present?.ino === ino) await rm(path, { force: true })
      await closing(app)
    },
  }
}

/** Ends an application that listens, whatever its clients do. */
export async function closing(app: App): Promise<void> {
  const timer = setTimeout(() => {
    app.server.closeAllConnections()
  }, CLOSE_LIMIT_MS)
  await app.close()
  clearTimeout(timer)
}

/** Errors: invalid, when a socket cannot have this path. */
export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) <= LONGEST_PATH) return
  throw new SheepfsError('invalid', `socket "${path}": the path has more than ${LONGEST_PATH} bytes`)
}

/** The permission bits that let everybody write. */
const OTHERS_WRITE = 0o002

async function checkDirectory(path: string): Promise<void> {
  const directory = dirname(path)
  const found = await stat(directory).catch((cause: unknown) => {
    throw new SheepfsError('not-found', `socket "${path}": its directory cannot be used: ${errorText(cause)}`, {
      cause,
    })
  })
  if ((found.mode & OTHERS_WRITE) === 0) return
  throw new SheepfsError(
    'not-permitted',
    `socket "${path}": everybody may write in its directory and put another in its place; run "chmod o-w ${directory}"`,
  )
}

async function checkLeftover(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket()) throw new SheepfsError('exists', `"${path}" is there and not a socket: remove it`)
  if (await isAnswered(path)) {
    throw new SheepfsError('busy', `socket "${path}" is in use: another daemon of this instance is running`)
  }
}

/** Whether somebody listens; when that cannot be told, it is assumed. */
async function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const finish = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(CONNECT_LIMIT_MS, () => {
      finish(true)
    })
    socket.once('connect', () => {
      finish(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      finish(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
    })
  })
}

async function setGroup(socket: string, groupId: number, group: string): Promise<void> {
  try {
    await chown(socket, -1, groupId)
  } catch (cause) {
    const message = `the socket cannot be given to group "${group}": this user is neither root nor in it`
    throw new SheepfsError('not-permitted', message, { cause })
  }
}
