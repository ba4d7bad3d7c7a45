import { lookupVdi, readInodeHeader } from '../sheep/vdi-lookup.ts'
import { loadIndex } from './index/load-index.ts'
import { whileMissing } from './missing.ts'
import type { VolumeCore } from './volume-core.ts'
import { checkLayout } from './volume-layout.ts'

/** Takes the inode that the volume's name means now, as it is now; for a volume that is only read. Errors: stale. */
export async function reloadIncarnation(core: VolumeCore): Promise<void> {
  const { vid } = await lookupVdi(core.cluster, core.spec)
  const header = await whileMissing(core.cluster, () => readInodeHeader(core.cluster, vid))
  checkLayout(header, core.text)
  core.adopt({ header, index: await loadIndex(core.cluster, header) })
}
