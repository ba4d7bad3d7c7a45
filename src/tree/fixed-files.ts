import type { Clock } from '../clock.ts'
import { addressText, parseAddresses } from '../sheep/address.ts'
import type { Attachments } from './attachments.ts'
import { parseSwitch, switchText, type Caches } from './caches.ts'
import type { ClusterFacts } from './cluster-facts.ts'
import { makeClusterInfo, makeNodeInfo, makeNodeList, makeVdiList } from './cluster-texts.ts'
import { ControlFile, type ControlFileOptions } from './control-file.ts'
import type { FixedDirectory } from './fixed-directory.ts'
import { FixedId } from './node-ids.ts'
import type { Owner } from './owner.ts'
import { TextFile } from './text-file.ts'
import { parseVolumeName } from './volume-name.ts'

/** Longest wait for what one sheep knows, and for what has to be read of every VDI, ms. */
const ASK_LIMIT_MS = 5000
const LIST_LIMIT_MS = 30_000

type ControlContext = Pick<ControlFileOptions, 'clock' | 'owner' | 'log'>

interface Directories {
  readonly cluster: FixedDirectory
  readonly node: FixedDirectory
  readonly vdi: FixedDirectory
}

/** cluster/info, node/list, node/info and vdi/list. */
export function addClusterFiles(
  { cluster, node, vdi }: Directories,
  { clock, facts, owner }: { readonly clock: Clock; readonly facts: ClusterFacts; readonly owner: Owner },
): void {
  const text = (
    id: number,
    path: string,
    openLimitMs: number,
    make: (facts: ClusterFacts) => Promise<Buffer>,
  ): TextFile => new TextFile(id, { clock, path, owner, openLimitMs, make: () => make(facts) })
  cluster.add('info', text(FixedId.clusterInfo, 'cluster/info', ASK_LIMIT_MS, makeClusterInfo))
  node.add('list', text(FixedId.nodeList, 'node/list', ASK_LIMIT_MS, makeNodeList))
  node.add('info', text(FixedId.nodeInfo, 'node/info', LIST_LIMIT_MS, makeNodeInfo))
  vdi.add('list', text(FixedId.vdiList, 'vdi/list', LIST_LIMIT_MS, makeVdiList))
}

/** vdi/mount and vdi/unmount. */
export function addVdiControls(
  vdi: FixedDirectory,
  options: ControlContext & { readonly attachments: Attachments },
): void {
  const { attachments, ...context } = options
  const control = (id: number, path: string, apply: ControlFileOptions['apply']): ControlFile =>
    new ControlFile(id, { ...context, path, show: () => '', apply })
  vdi.add(
    'mount',
    control(FixedId.vdiMount, 'vdi/mount', async (line, waiter) => {
      const { file } = await attachments.attach(parseVolumeName(line), {}, waiter)
      attachments.keep(file)
    }),
  )
  vdi.add(
    'unmount',
    control(FixedId.vdiUnmount, 'vdi/unmount', (line, waiter) => attachments.detach(parseVolumeName(line), {}, waiter)),
  )
}

/** config/page_cache, config/object_cache and config/sheep_info. */
export function addConfigFiles(
  config: FixedDirectory,
  options: ControlContext & { readonly facts: ClusterFacts; readonly caches: Caches },
): void {
  const { facts, caches, ...context } = options
  config.add(
    'page_cache',
    new ControlFile(FixedId.pageCache, {
      ...context,
      path: 'config/page_cache',
      show: () => switchText(caches.pageCache),
      apply: (line) => {
        caches.setPageCache(parseSwitch('config/page_cache', line))
      },
    }),
  )
  config.add(
    'object_cache',
    new ControlFile(FixedId.objectCache, {
      ...context,
      path: 'config/object_cache',
      show: () => switchText(caches.objectCache),
      apply: (line) => caches.setObjectCache(parseSwitch('config/object_cache', line)),
    }),
  )
  config.add(
    'sheep_info',
    new ControlFile(FixedId.sheepInfo, {
      ...context,
      path: 'config/sheep_info',
      show: () => `${facts.addresses.map(addressText).join(',')}\n`,
      apply: (line, waiter) => facts.setAddresses(parseAddresses(Buffer.from(line).toString()), waiter),
    }),
  )
}
