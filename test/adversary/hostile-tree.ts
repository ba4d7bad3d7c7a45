import type { TestContext } from 'node:test'
import type { Device, DeviceEnd } from '../../src/fuse/kernel/device.ts'
import { mountDevice } from '../../src/fuse/kernel/kernel-mount.ts'
import { closeDevice, openDevice, serveDevice } from '../../src/fuse/kernel/open-device.ts'
import { Session } from '../../src/fuse/kernel/session.ts'
import { silentLogger } from '../../src/log.ts'
import { FuseOpcode } from '../../src/wire/fuse-abi.ts'
import { entryOut, newFuseMessage, setReplyHeader, type FuseMessage } from '../../src/wire/fuse-reply.ts'
import { viewOf } from '../../src/wire/field.ts'
import { FuseInHeader, FuseOutHeader, FuseSize } from '../../src/wire/fuse-structs.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { MemoryTree } from '../fuse/memory-tree.ts'

const LINK_ID = 666
const S_IFLNK = 0o120000

/** A tree whose server says that some names are links. */
export interface HostileTree {
  readonly path: string
  readonly minor: number
  /** By name, what it says the link leads to. */
  readonly links: Map<string, string>
  /** Names that it never answers for. */
  readonly silence: Set<string>
  /** Names that it was asked for. */
  readonly heard: Set<string>
  readonly tree: MemoryTree
  readonly stage: Stage
}

/** As a captured worker serves it, until the test ends. */
export async function mountHostile(context: TestContext): Promise<HostileTree> {
  const stage = new Stage()
  context.after(() => stage.close())
  const path = await stage.mountpoint()
  const tree = new MemoryTree(1 << 20)
  const lies = { links: new Map<string, string>(), silence: new Set<string>(), heard: new Set<string>() }
  const fd = await openDevice()
  const mount = await mountDevice(fd, { mountpoint: path, source: 'hostile', allowOther: true, openers: () => [] })
  const log = silentLogger()
  const device = hostile(await serveDevice(fd, log), lies)
  const session = new Session({ tree, device, log, writeBack: true, generation: 0 })
  session.start()
  await session.ready
  stage.defer(async () => {
    await mount.abort()
    await session.ended.catch(() => undefined)
    closeDevice(fd)
    mount.close()
  })
  return { path, minor: mount.minor, ...lies, tree, stage }
}

/** Answers by itself what it lies about, and leaves the rest to the session. */
function hostile(device: Device, { links, silence, heard }: Pick<HostileTree, 'links' | 'silence' | 'heard'>): Device {
  let target = ''
  const lie = (request: Uint8Array): FuseMessage | 'none' | undefined => {
    const view = viewOf(request)
    const opcode = FuseInHeader.opcode.get(view)
    if (opcode === FuseOpcode.READLINK) return linkText(target)
    if (opcode !== FuseOpcode.LOOKUP) return undefined
    const name = Buffer.from(request.subarray(FuseSize.inHeader, -1)).toString()
    heard.add(name)
    if (silence.has(name)) return 'none'
    const found = links.get(name)
    if (found === undefined) return undefined
    target = found
    return entryOut(LINK, 0)
  }
  return {
    start: (wake) => {
      device.start(wake)
    },
    awaken: () => {
      device.awaken()
    },
    receive: (into): number | DeviceEnd => {
      for (;;) {
        const length = device.receive(into)
        if (typeof length === 'string' || length === 0) return length
        const request = into.subarray(0, length)
        const reply = lie(request)
        if (!reply) return length
        if (reply === 'none') continue
        setReplyHeader(reply.view, reply.bytes.length, 0)
        FuseOutHeader.unique.set(reply.view, FuseInHeader.unique.get(viewOf(request)))
        device.send(reply.bytes)
      }
    },
    send: (message) => {
      device.send(message)
    },
    sendAside: (message) => device.sendAside(message),
    close: () => {
      device.close()
    },
  }
}

const LINK = {
  ...{ nodeid: LINK_ID, ino: LINK_ID, size: 1, allocated: 0, mode: S_IFLNK + 0o777, nlink: 1, uid: 0, gid: 0 },
  ...{ modifiedMs: 0, changedMs: 0, blockSize: 4096, validS: 0 },
}

function linkText(target: string): FuseMessage {
  const reply = newFuseMessage(target.length)
  reply.bytes.set(Buffer.from(target), FuseSize.outHeader)
  return reply
}
