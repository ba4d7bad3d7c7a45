import { Opcode, ReqObj, Result } from '../../../src/wire/sd-proto.ts'
import { kindOf, readOid } from '../../../src/wire/object-id.ts'
import type { Random } from '../../sheep/random.ts'
import { keyOf } from '../object-key.ts'
import type { Mishap, SimulatedSheep } from '../simulated-sheep.ts'
import { rest, type Actor, type Scene } from './actor.ts'

const DEADLINE_MS = 62_000
const TRANSIENT = [Result.AGAIN, Result.NETWORK_ERROR, Result.SYSTEM_ERROR, Result.NO_MEM, Result.HALT]
const OBJECT_OPS = new Set<number>([Opcode.READ_OBJ, Opcode.WRITE_OBJ, Opcode.CREATE_AND_WRITE_OBJ])

/** Ends our worker, whatever it does. */
export const killer: Actor = {
  name: 'killer',
  act: async (scene, random, steps) => {
    for (let kills = 0; kills < Math.ceil(steps / 8); kills++) {
      await rest(scene, random, 6000)
      scene.stage.past.add('worker killed')
      scene.mount.kill()
    }
  },
}

/** Breaks connections. */
export const cutter: Actor = {
  name: 'cutter',
  act: async (scene, random, steps) => {
    for (let cuts = 0; cuts < Math.ceil(steps / 4); cuts++) {
      await rest(scene, random, 3000)
      const { host } = random.pick(scene.cluster.sheep)
      for (const link of scene.stage.network.linksOf(host)) if (random.chance(0.7)) link.cutBoth()
    }
  },
}

/** Lets requests fail, or get lost before or after they were executed, for some objects or all. */
export const strain: Actor = {
  name: 'strain',
  act: async (scene, random, steps) => {
    for (let times = 0; times < Math.ceil(steps / 8); times++) {
      await rest(scene, random, 4000)
      const end = scene.stage.trouble('strain')
      const sheep = random.chance(0.5) ? scene.cluster.sheep : [random.pick(scene.cluster.sheep)]
      const lastsMs = random.chance(0.1) ? 60_000 + random.next() * 200_000 : random.next() * 4000
      const { kind, mishap } = mishaps(random, lastsMs)
      for (const one of sheep) one.mishap = mishap
      await scene.stage.agenda.pause(lastsMs)
      for (const one of sheep) one.mishap = undefined
      // what is not answered counts as lost only then
      if (kind === 'unanswered') await scene.stage.agenda.pause(DEADLINE_MS)
      end()
    }
  },
}

function mishaps(
  random: Random,
  lastsMs: number,
): { kind: Mishap['kind']; mishap: NonNullable<SimulatedSheep['mishap']> } {
  const rate = random.pick([0.05, 0.3, 1])
  const one = random.pick(['refused', 'refused', 'cut', 'unanswered'] as const)
  // an object may be missing for a moment, not for longer than the client waits (docs/sheepdog-protocol.md#5.2)
  const result = random.pick(lastsMs < 5000 ? [...TRANSIENT, Result.NO_OBJ] : TRANSIENT)
  const part = random.pick([1, 1, 3])
  const rest = random.below(part)
  const mayExecute = result !== Result.HALT && result !== Result.NO_OBJ
  const mishap: SimulatedSheep['mishap'] = ({ opcode, header, dataLength }) => {
    if (!OBJECT_OPS.has(opcode)) return undefined
    // a look whether a removed object is gone is believed at once
    const isLook = dataLength <= 1 || kindOf(readOid(header, ReqObj.oid.offset)) !== 'data'
    const isNew = opcode === Opcode.CREATE_AND_WRITE_OBJ
    if (one === 'refused' && result === Result.NO_OBJ && (isLook || isNew)) return undefined
    if (keyOf(readOid(header, ReqObj.oid.offset)) % part !== rest || !random.chance(rate)) return undefined
    const isExecuted = mayExecute && random.chance(0.5)
    return one === 'refused' ? { kind: one, result, isExecuted } : { kind: one, isExecuted: random.chance(0.5) }
  }
  return { kind: one, mishap }
}

/** Lets one node die when all is well, and brings it back. */
export const nodeDeath: Actor = {
  name: 'node death',
  act: async (scene, random, steps) => {
    for (let deaths = 0; deaths < Math.ceil(steps / 8); deaths++) {
      await rest(scene, random, 5000)
      await untilWhole(scene)
      const sheep = random.pick(scene.cluster.sheep)
      if (scene.cluster.members.length < 2) return
      const end = scene.stage.trouble('node death')
      sheep.kill()
      await scene.stage.agenda.pause(random.next() * 8000)
      if (random.chance(0.5)) {
        await untilCalm(scene)
        end()
        await scene.stage.agenda.pause(random.next() * 90_000)
      } else end()
      sheep.start()
    }
  },
}

/** Several nodes are away at once, perhaps all that hold an object, and come back. */
export const rackOutage: Actor = {
  name: 'rack outage',
  act: async (scene, random) => {
    await rest(scene, random, 5000)
    await untilCalm(scene)
    const rack = scene.cluster.sheep.filter(() => random.chance(0.6)).slice(0, scene.cluster.sheep.length - 1)
    const end = scene.stage.trouble('rack outage')
    for (const sheep of rack) sheep.kill()
    await scene.stage.agenda.pause(random.next() * 60_000)
    for (const sheep of rack) sheep.start()
    await untilCalm(scene)
    end()
  },
}

/** All processes of the cluster end, and start again one after the other. */
export const restartOfAll: Actor = {
  name: 'restart of all',
  act: async (scene, random) => {
    await rest(scene, random, 5000)
    await untilCalm(scene)
    const end = scene.stage.trouble('restart of all')
    const members = [...scene.cluster.members]
    for (const sheep of members) sheep.kill()
    for (const sheep of members) {
      await rest(scene, random, 6000)
      sheep.start()
    }
    await untilCalm(scene)
    end()
  },
}

/** A disk is unplugged, or plugged in: recovery without a new epoch. */
export const diskChange: Actor = {
  name: 'disk change',
  act: async (scene, random, steps) => {
    for (let times = 0; times < Math.ceil(steps / 10); times++) {
      await rest(scene, random, 5000)
      await untilWhole(scene)
      if (scene.cluster.members.length < 2 || scene.cluster.settings.copies < 2) return
      const part = random.below(2)
      scene.stage.past.add('disk change')
      random.pick(scene.cluster.members).recovery.beginDisk((key) => key % 2 === part)
    }
  },
}

/** A process is stopped and goes on: shorter than the others take to exclude it. */
export const freeze: Actor = {
  name: 'freeze',
  act: async (scene, random, steps) => {
    for (let times = 0; times < Math.ceil(steps / 10); times++) {
      await rest(scene, random, 5000)
      const sheep = random.pick(scene.cluster.sheep)
      if (!sheep.isServing) continue
      const end = scene.stage.trouble('freeze')
      sheep.freeze()
      await scene.stage.agenda.pause(random.next() * 8000)
      sheep.thaw()
      end()
    }
  },
}

/** Our host and some sheep do not reach each other. */
export const partition: Actor = {
  name: 'partition',
  act: async (scene, random, steps) => {
    for (let times = 0; times < Math.ceil(steps / 10); times++) {
      await rest(scene, random, 5000)
      const end = scene.stage.trouble('partition')
      const cut = scene.cluster.sheep.filter(() => random.chance(0.5))
      const heals = cut.map(({ host }) => scene.stage.network.partition(scene.mount.plan.name, host))
      await scene.stage.agenda.pause(random.next() ** 2 * 90_000)
      for (const heal of heals) heal()
      await scene.stage.agenda.pause(2000)
      end()
    }
  },
}

/** Other clients keep the gateways busy. */
export const neighbours: Actor = {
  name: 'neighbours',
  act: async (scene, random) => {
    scene.stage.past.add('neighbours')
    for (const sheep of scene.cluster.sheep) sheep.othersActive = () => Number(random.chance(0.9))
    await scene.stage.agenda.pause(20_000 + random.next() * 60_000)
    for (const sheep of scene.cluster.sheep) sheep.othersActive = () => 0
  },
}

/** Every node is back, and has recovered. */
export async function untilWhole({ stage, cluster }: Scene): Promise<void> {
  while (!cluster.isWhole) await stage.agenda.pause(100)
}

export async function untilCalm({ stage, cluster }: Scene): Promise<void> {
  while (!cluster.isCalm) await stage.agenda.pause(100)
}
