import { isSheepfsError, SheepfsError } from '../errors.ts'
import { type Logger } from '../log.ts'
import { type Cluster } from '../sheep/cluster.ts'
import { lookupVdi, readInodeHeader, vdiText } from '../sheep/vdi-lookup.ts'
import { type VdiSpec } from '../wire/vdi-ops.ts'
import { loadIndex } from './load-index.ts'
import { checkLayout } from './volume-layout.ts'
import { VolumeCore } from './volume-core.ts'
import { Volume } from './volume.ts'

export interface OpenVolumeOptions {
  readonly log: Logger
  /** Take no writes. A snapshot never takes any. */
  readonly readOnly?: boolean
}

/** Attaches a VDI or a snapshot. Errors: not-found, locked, not-supported, too-large; unreachable. */
export async function openVolume(cluster: Cluster, spec: VdiSpec, options: OpenVolumeOptions): Promise<Volume> {
  const text = vdiText(spec)
  const { vid } = await lookupVdi(cluster, spec)
  const header = await readInodeHeader(cluster, vid).catch((error: unknown) => {
    if (!isSheepfsError(error, 'stale')) throw error
    throw new SheepfsError('not-found', `${text}: no such VDI (its inode is missing)`, { cause: error })
  })
  checkLayout(header, text)
  const index = await loadIndex(cluster, header)
  const core = new VolumeCore({ cluster, spec, incarnation: { header, index }, log: options.log })
  const isReadOnly = header.isSnapshot || options.readOnly === true
  return new Volume(core, { isReadOnly, onClose: () => Promise.resolve() })
}
