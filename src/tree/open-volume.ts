import { isSheepfsError } from '../errors.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'
import { vdiSpecs, type VolumeName } from './volume-name.ts'
import type { ServedVolume } from './served-volume.ts'

/** Opens the first thing that a name may mean and that is there. Errors: those of `open`; not-found is of the first. */
export async function openNamed(
  name: VolumeName,
  open: (spec: VdiSpec) => Promise<ServedVolume>,
): Promise<ServedVolume> {
  const specs = vdiSpecs(name)
  let missing: unknown
  for (const spec of specs) {
    try {
      return await open(spec)
    } catch (error) {
      if (!isSheepfsError(error, 'not-found')) throw error
      missing ??= error
    }
  }
  throw missing
}
