import { createInterface } from 'node:readline'
import { parseAddress } from '../../../src/sheep/address.ts'
import { Cluster } from '../../../src/sheep/cluster.ts'
import { DEFAULT_TIMING } from '../../../src/sheep/timing.ts'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { silentLogger } from '../../../src/log.ts'

/*
 * Says which of some vids, in hexadecimal, are locked in the cluster of a sheep: held-locks.js HOST:PORT. A question is a line
 * `NUMBER VID...` of stdin, its answer a line `locked NUMBER: VID...`.
 */

const [, , address = ''] = process.argv
const cluster = new Cluster({
  world: realWorld,
  addresses: [parseAddress(address)],
  log: silentLogger(),
  ioTimeoutMs: 10_000,
  timing: DEFAULT_TIMING,
})
await cluster.open()
for await (const question of createInterface({ input: process.stdin })) {
  const [number, ...vids] = question.split(' ')
  const states = await cluster.lockStates()
  const locked = vids.filter((vid) => states.get(parseInt(vid, 16)) !== undefined)
  process.stdout.write(`locked ${number}: ${locked.join(' ')}\n`)
}
cluster.close()
