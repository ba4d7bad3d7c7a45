import { parseAddress } from '../../../src/sheep/address.ts'
import { Cluster } from '../../../src/sheep/cluster.ts'
import { DEFAULT_TIMING } from '../../../src/sheep/timing.ts'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { silentLogger } from '../../../src/log.ts'

/* Prints which of some vids, in hexadecimal, are locked in the cluster of a sheep: held-locks.js HOST:PORT VID... */

const [, , address = '', ...vids] = process.argv
const cluster = new Cluster({
  world: realWorld,
  addresses: [parseAddress(address)],
  log: silentLogger(),
  ioTimeoutMs: 10_000,
  timing: DEFAULT_TIMING,
})
await cluster.open()
const states = await cluster.lockStates()
const locked = vids.filter((vid) => states.get(parseInt(vid, 16)) !== undefined)
process.stdout.write(`locked: ${locked.join(' ')}\n`)
cluster.close()
