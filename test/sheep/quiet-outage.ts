import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import { Outage } from '../../src/sheep/outage.ts'
import type { Timing } from '../../src/sheep/timing.ts'

/** Who waits in it waits for ever, and nobody is told. */
export function quietOutage(timing: Timing): Outage {
  const log = silentLogger()
  return new Outage({ timeoutMs: Infinity, timing, clock: realWorld.clock, log, onChange: () => undefined })
}
