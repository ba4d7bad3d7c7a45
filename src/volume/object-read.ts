import type { Patience } from '../sheep/outage.ts'
import { mayAppear, resultError } from '../sheep/result-error.ts'
import { dataOid } from '../wire/object-id.ts'
import { readObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { Missing } from './missing.ts'
import type { ObjectPart } from './volume-layout.ts'
import type { VolumeCore } from './volume-core.ts'

/** Fills `into` from `offset` of object `index`. Errors: io, stale, no others when the cluster can be waited for. */
export async function readFromObject(
  core: VolumeCore,
  { index, offset }: ObjectPart,
  into: Uint8Array,
  patience: Patience,
): Promise<void> {
  let missing: Missing | undefined
  for (;;) {
    if (core.failure) throw core.failure
    const known = core.index.owner(index)
    const owner = typeof known === 'number' ? known : await known
    const isOld = core.hasOtherWriters && owner !== core.vid && (await core.readerLook.renew(index))
    if (isOld) continue
    if (owner === 0) {
      into.fill(0)
      return
    }
    const message = readObject(dataOid(owner, index), offset, into.length)
    const { result } = await core.cluster.read(message, { into, copies: core.header.nrCopies, patience })
    if (result === Result.SUCCESS) return
    const failure = resultError(result, `${core.text}: read of object ${index}`)
    if (!mayAppear(result)) throw failure
    await core.checkAlive(patience)
    // what a discard of this volume gives back is gone before the index update that says so is answered
    await core.locks.passed(index, offset, offset + into.length)
    if (core.hasOtherWriters) await core.readerLook.renew(index) // it may have been given back
    if ((await core.index.owner(index)) !== owner) continue
    missing ??= new Missing(core.cluster, patience)
    await missing.wait(failure)
  }
}
