import type { Clock, Timer } from '../../src/clock.ts'
import type { World } from '../../src/sheep/world.ts'
import type { Random } from '../sheep/random.ts'
import type { Agenda } from './agenda.ts'
import type { Network } from './network.ts'

/** 2026-11-27, ms: when a simulation begins. */
export const BEGIN_MS = 1_795_737_600_000

/** A process of ours on a host of the network: its world ends with it. */
export class Host {
  readonly name: string
  readonly world: World
  readonly #network: Network
  #isEnded = false

  constructor(name: string, network: Network, random: Random) {
    this.name = name
    this.#network = network
    this.world = { clock: this.#clock(network.agenda, random), dial: network.dialFrom(name, this) }
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** SIGKILL: no timer of it comes any more, its connections are closed. */
  kill(): void {
    this.#isEnded = true
    this.#network.endProcess(this)
  }

  #clock(agenda: Agenda, random: Random): Clock {
    return {
      now: () => agenda.now,
      date: () => BEGIN_MS + agenda.now,
      after: (ms, run): Timer =>
        agenda.after(ms, () => {
          if (!this.#isEnded) run()
        }),
      random: () => random.next(),
    }
  }
}
