import type { ClusterInfo, Node } from '../../api/schema/cluster.ts'
import type { CloneCreate, Resize, Rollback, SnapshotCreate, Vdi, VdiCreate, VdiInfo } from '../../api/schema/vdi.ts'
import { isSheepfsError, SheepfsError } from '../../errors.ts'
import { readClusterStatus, readNodes, readStoreSpace } from '../../sheep/cluster-info.ts'
import { askAll } from '../../sheep/map-in-order.ts'
import type { Requests } from '../../sheep/requests.ts'
import { listVdis, summarizeVdi } from '../../sheep/vdi-list.ts'
import { readInodeHeader } from '../../sheep/vdi-lookup.ts'
import { parseVolumeName, vdiSpecs } from '../../tree/volume-name.ts'
import { createVdi, type Redundancy } from '../../volume/manage/create-vdi.ts'
import { deleteVdi, type OnProgress } from '../../volume/manage/delete-vdi.ts'
import { requireVdi } from '../../volume/manage/find-vdi.ts'
import { resizeVdi } from '../../volume/manage/resize-vdi.ts'
import { rollbackVdi } from '../../volume/manage/rollback-vdi.ts'
import { cloneVdi, snapshotVdi } from '../../volume/manage/snapshot-vdi.ts'
import type { InodeHeader } from '../../wire/inode.ts'
import { clusterJson, compareVdis, nodeJson, vdiJson, volumeTextOf } from '../vdi-json.ts'

/**
 * The cluster of a mount in the words of the control API, for one who asks. VDIs are named as volumes
 * are. Errors: as in `api/supervisor.ts`.
 */
export class ClusterService {
  readonly #cluster: Requests

  constructor(cluster: Requests) {
    this.#cluster = cluster
  }

  async info(): Promise<ClusterInfo> {
    return clusterJson(await readClusterStatus(this.#cluster))
  }

  async nodes(): Promise<Node[]> {
    const nodes = await readNodes(this.#cluster)
    return askAll(nodes, async (node) => nodeJson(node, await readStoreSpace(this.#cluster, node)))
  }

  async vdis(): Promise<Vdi[]> {
    return (await listVdis(this.#cluster)).map(vdiJson).sort(compareVdis)
  }

  async vdi(vdi: string): Promise<VdiInfo> {
    const header = await requireVdi(this.#cluster, vdiSpecs(parseVolumeName(vdi)))
    const lock = this.#cluster.hasLocking ? (await this.#cluster.lockStates()).get(header.vdiId) : undefined
    const parent = await this.#parentOf(header)
    return {
      ...(await this.#toJson(header)),
      parent: parent === undefined ? null : volumeTextOf(parent),
      locked: lock !== undefined,
      locked_through: lock?.owner ?? null,
    }
  }

  async createVdi({ name, size, copies, object_size_shift, hyper }: VdiCreate): Promise<Vdi> {
    const redundancy = copies === undefined ? undefined : parseRedundancy(copies)
    const options = { name, size, redundancy, blockSizeShift: object_size_shift, isHyper: hyper }
    return this.#toJson(await createVdi(this.#cluster, options))
  }

  async deleteVdi(vdi: string, onProgress: OnProgress): Promise<void> {
    await deleteVdi(this.#cluster, vdiSpecs(parseVolumeName(vdi)), onProgress)
  }

  async snapshotVdi(vdi: string, { tag }: SnapshotCreate): Promise<Vdi> {
    const name = parseVolumeName(vdi)
    if (name.snapshot !== undefined) {
      throw new SheepfsError('read-only', `"${name.text}" is a snapshot: snapshots are made of working VDIs`)
    }
    return this.#toJson(await snapshotVdi(this.#cluster, name.vdi, tag))
  }

  async cloneVdi(vdi: string, { name }: CloneCreate): Promise<Vdi> {
    return this.#toJson(await cloneVdi(this.#cluster, vdiSpecs(parseVolumeName(vdi)), name))
  }

  async rollbackVdi(snapshot: string): Promise<Rollback> {
    const { working, kept } = await rollbackVdi(this.#cluster, vdiSpecs(parseVolumeName(snapshot)))
    return { vdi: await this.#toJson(working), kept: kept ? await this.#toJson(kept) : null }
  }

  async resizeVdi(vdi: string, { size }: Resize): Promise<Vdi> {
    return this.#toJson(await resizeVdi(this.#cluster, vdiSpecs(parseVolumeName(vdi)), size))
  }

  /** Undefined: made of none, or of one that is deleted. */
  async #parentOf({ parentVdiId }: InodeHeader): Promise<InodeHeader | undefined> {
    if (parentVdiId === 0) return undefined
    const parent = await readInodeHeader(this.#cluster, parentVdiId).catch((error: unknown) => {
      if (isSheepfsError(error, 'stale')) return undefined
      throw error
    })
    return parent && parent.name.length > 0 ? parent : undefined
  }

  async #toJson(header: InodeHeader): Promise<Vdi> {
    return vdiJson(await summarizeVdi(this.#cluster, header))
  }
}

/** Reads "2" and "4:2" (checked by the schema of the body). */
function parseRedundancy(text: string): Redundancy {
  const [first, parity] = text.split(':').map(Number)
  if (parity === undefined) return { kind: 'copies', copies: first ?? 0 }
  return { kind: 'strips', data: first ?? 0, parity }
}
