import { SheepfsError } from '../../errors.ts'
import type { Requests } from '../../sheep/requests.ts'
import { expectSuccess } from '../../sheep/result-error.ts'
import type { InodeHeader } from '../../wire/inode.ts'
import { writeVdiSize } from '../../wire/object-ops.ts'
import type { VdiSpec } from '../../wire/vdi-ops.ts'
import { checkSize } from './create-vdi.ts'
import { headerText, requireVdi } from './find-vdi.ts'

/** How often a snapshot may come between. */
const ATTEMPTS = 5

/** Grows a working VDI. Errors: not-found, not-permitted (it cannot shrink), read-only (a snapshot), too-large, invalid. */
export async function resizeVdi(cluster: Requests, specs: readonly VdiSpec[], size: number): Promise<InodeHeader> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const header = await requireVdi(cluster, specs)
    const what = headerText(header)
    if (header.isSnapshot) throw new SheepfsError('read-only', `${what} is a snapshot: only a working VDI can grow`)
    checkSize(what, size, header)
    if (size < header.vdiSize) {
      throw new SheepfsError('not-permitted', `${what} has ${header.vdiSize} bytes: it can grow, not shrink to ${size}`)
    }
    if (size === header.vdiSize) return header
    expectSuccess(await cluster.change(writeVdiSize(header.vdiId, size)), `size of ${what}`)
    // a snapshot made meanwhile leaves the size in the snapshot: the next turn sees a working VDI of the old size
  }
  throw new SheepfsError('io', `the size did not change in ${ATTEMPTS} attempts`)
}
