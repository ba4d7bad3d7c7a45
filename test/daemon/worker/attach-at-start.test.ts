import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { attachAtStart } from '../../../src/daemon/worker/attach-at-start.ts'
import type { AttachedVolume } from '../../../src/daemon/worker-protocol.ts'
import type { Attachments } from '../../../src/tree/attachments.ts'
import { clusterFor } from '../../sheep/staged-cluster.ts'

const LIMIT = { timeout: 20_000 }
const VOLUME: AttachedVolume = {
  name: 'vdi',
  nodeId: 1000,
  readOnly: false,
  inode: { vid: 7, createdAt: '0000000000000001' },
}

test('a successor attaches nothing again that was of the cluster before it was formatted', LIMIT, async (context) => {
  const { open, model } = await clusterFor(context)
  const { ctime } = await open()
  const attach = async (clusterCtime: string | undefined): Promise<{ attached: string[]; told: string[] }> => {
    const attached: string[] = []
    const told: string[] = []
    const log = pino(
      {},
      { write: (line) => void told.push((JSON.parse(line) as { err: { message: string } }).err.message) },
    )
    const attachments = {
      attach: ({ vdi }: { vdi: Uint8Array }) => Promise.resolve(attached.push(Buffer.from(vdi).toString())),
    }
    const state = { gateways: [], locks: [], clusterCtime, volumes: [VOLUME] }
    const cluster = await open()
    await attachAtStart({ generation: 2, state }, { cluster, attachments: attachments as unknown as Attachments, log })
    return { attached, told }
  }
  assert.deepEqual(await attach(ctime), { attached: ['vdi'], told: [] })
  assert.deepEqual(await attach(undefined), { attached: ['vdi'], told: [] })
  model.ctimeSeconds++
  const { attached, told } = await attach(ctime)
  assert.deepEqual(attached, [])
  assert.match(told.join(), /it was formatted/)
})
