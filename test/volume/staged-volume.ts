import type { TestContext } from 'node:test'
import { silentLogger } from '../../src/log.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import type { SheepRequest } from '../sheep/sheep-request.ts'
import type { Fate, ScriptedSheep } from '../sheep/scripted-sheep.ts'
import { clusterFor } from '../sheep/staged-cluster.ts'

export const OBJECT_SIZE = 4096
export const SPEC = { name: new TextEncoder().encode('vdi') }

/** A VDI of `objects` objects of 4 KiB in a new cluster of one sheep, attached. */
export async function attached(context: TestContext, objects = 8) {
  const stage = await clusterFor(context)
  const [sheep] = stage.sheep as [ScriptedSheep]
  const { model, rules } = stage
  const vid = model.createVdi('vdi', objects * OBJECT_SIZE)
  const cluster = await stage.open()
  const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
  return { stage, sheep, model, rules, cluster, volume, vid }
}

/** A script that gives `fates` to the requests that `isMeant`, in turn, and answers everything else. */
export function fatesFor(isMeant: (request: SheepRequest) => boolean, ...fates: Fate[]) {
  return (request: SheepRequest): Fate => (isMeant(request) ? fates.shift() : undefined) ?? { kind: 'answer' }
}

/** `length` bytes of one value. */
export function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value)
}
