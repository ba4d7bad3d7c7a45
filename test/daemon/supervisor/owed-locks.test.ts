import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { parseMount } from '../../../src/daemon/config/config.ts'
import { MountRecord } from '../../../src/daemon/mount/mount-record.ts'
import { recordedMounts, recordPath, takeRecord } from '../../../src/daemon/mount/record-files.ts'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { giveBackOwed } from '../../../src/daemon/supervisor/owed-locks.ts'
import type { MountState } from '../../../src/daemon/worker-protocol.ts'
import { silentLogger } from '../../../src/log.ts'
import { type Address, addressText } from '../../../src/sheep/address.ts'
import { Cluster } from '../../../src/sheep/cluster.ts'
import { DEFAULT_TIMING } from '../../../src/sheep/timing.ts'
import { acquireVdiLock } from '../../../src/volume/vdi-lock.ts'
import { startLamb, type Sheep } from '../../e2e/stage/sheep.ts'
import { Stage } from '../../e2e/stage/stage.ts'

const MIB = 2 ** 20

describe('locks of workers that were killed', { timeout: 60_000 }, () => {
  const stage = new Stage()
  const log = silentLogger()
  let sheep: Sheep
  let cluster: Cluster
  before(async () => {
    sheep = await startLamb(stage, ['--locking'])
    cluster = openCluster(sheep.address)
    await cluster.open()
  })
  after(async () => {
    cluster.close()
    await stage.close()
  })

  function openCluster(address: Address): Cluster {
    return new Cluster({ world: realWorld, addresses: [address], log, ioTimeoutMs: 10_000, timing: DEFAULT_TIMING })
  }

  /** Leaves the record of a mount in a directory, as a worker that is killed does. */
  async function leaveRecord(state: Partial<MountState>): Promise<string> {
    const directory = await stage.folder()
    const fd = openSync(recordPath(directory, 'm'), 'w+')
    const none = { volumes: [], nextNodeId: 1000, pageCache: false, objectCache: false, ioTimeoutMs: Infinity }
    const whole = { negotiated: undefined, ...none, addresses: [sheep.address], gateways: [sheep.address], locks: [] }
    new MountRecord(fd).begin({ generation: 1, state: { ...whole, ...state }, handles: [] })
    closeSync(fd)
    return directory
  }

  async function giveBack(directory: string): Promise<void> {
    assert.deepEqual(recordedMounts(directory), ['m'])
    const config = parseMount(
      { name: 'm', mountpoint: '/mnt/m', sheep: [addressText(sheep.address)] },
      { instance: 'i', sheep: undefined },
      [],
    )
    const left = takeRecord(directory, 'm')
    assert.ok(left && !existsSync(recordPath(directory, 'm')))
    await giveBackOwed(config, left, { workerAccount: undefined, logLevel: 'silent', log })
  }

  test('are given back, of volumes and of what was only being locked; those of others stay', async () => {
    const names = [await sheep.createVdi(4 * MIB), await sheep.createVdi(4 * MIB), await sheep.createVdi(4 * MIB)]
    const [volume, other] = await Promise.all(names.map((name) => acquireVdiLock(cluster, { name: Buffer.from(name) })))
    assert.ok(volume?.owner !== undefined && other?.owner !== undefined)
    const directory = await leaveRecord({
      volumes: [{ name: names[0] ?? '', nodeId: 1000, readOnly: false }],
      locks: [
        { vid: volume.vid, owner: volume.owner },
        { vid: other.vid, owner: '127.0.0.9:7000' }, // was broken since
      ],
    })
    const before = await cluster.lockStates()
    await giveBack(directory)
    const after = await cluster.lockStates()
    assert.equal(after.get(volume.vid), undefined)
    assert.deepEqual(after.get(other.vid), before.get(other.vid))
    assert.equal(after.size, before.size - 1)
  })
})
