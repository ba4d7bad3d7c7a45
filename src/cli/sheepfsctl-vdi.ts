import type { Vdi, VdiCreate, VdiInfo } from '../api/schema/vdi.ts'
import { SheepfsError } from '../errors.ts'
import { byteSizeText, parseByteSize, wholeSectors } from './byte-size.ts'
import { EXIT } from './exit-code.ts'
import type { Call, Command } from './sheepfsctl-command.ts'
import { tableText } from './table.ts'

const NODE_COLUMNS = ['SHEEP', ...['ZONE', 'VNODES', 'SIZE', 'FREE'].map((number) => ({ number }))]
const VDI_COLUMNS = [
  ...['VOLUME', 'KIND'],
  ...['SIZE', 'USED', 'SHARED', 'COPIES'].map((number) => ({ number })),
  'CREATED (UTC)',
]

/** Commands about the cluster of a mount, and its VDIs. */
export const VDI_COMMANDS: readonly Command[] = [
  {
    name: 'cluster',
    arguments: '',
    summary: 'the state of the cluster',
    run: async (call) => {
      const cluster = await call.client.cluster(await call.mount())
      const { state_text, epoch, copies, store, locking, created_at } = cluster
      const lines = [
        `state    ${state_text}`,
        `epoch    ${epoch}`,
        `copies   ${copies}`,
        `store    ${store}`,
        `locking  ${locking ? 'yes' : 'no'}`,
        `created  ${created_at ?? '-'}`,
      ]
      call.print(cluster, () => `${lines.join('\n')}\n`)
      return EXIT.done
    },
  },
  {
    name: 'nodes',
    arguments: '',
    summary: 'the sheep of the cluster',
    run: async (call) => {
      const nodes = await call.client.nodes(await call.mount())
      const rows = nodes.map(({ address, zone, vnodes, space }) => [
        address,
        String(zone),
        String(vnodes),
        space ? byteSizeText(space.total) : '-',
        space ? byteSizeText(space.free) : 'does not answer',
      ])
      call.print(nodes, () => tableText(NODE_COLUMNS, rows))
      return EXIT.done
    },
  },
  {
    name: 'vdi list',
    arguments: '',
    summary: 'VDIs and snapshots in the cluster',
    run: async (call) => {
      const vdis = await call.client.vdis(await call.mount())
      call.print(vdis, () => tableText(VDI_COLUMNS, vdis.map(vdiRow)))
      return EXIT.done
    },
  },
  {
    name: 'vdi create',
    arguments: 'NAME SIZE',
    summary: 'makes an empty VDI of SIZE bytes (10G, 1.5T)',
    options: [
      ['--copies N|D:P', "copies, or data and parity strips (default: the cluster's)"],
      ['--object-size SIZE', 'a power of two from 1M to 2G (default: 4M)'],
      ['--hyper', 'less than 8P, without snapshots'],
    ],
    run: async (call) => printVdi(call, 'created', await call.client.createVdi(await call.mount(), vdiCreate(call))),
  },
  {
    name: 'vdi delete',
    arguments: 'VDI...',
    summary: 'deletes VDIs, or snapshots VDI@TAG, for good',
    run: async (call) => {
      const mount = await call.mount()
      return call.forEach((vdi) => deleteVdi(call, mount, vdi))
    },
  },
  {
    name: 'vdi info',
    arguments: 'VDI',
    summary: 'what a VDI or snapshot is, of which it was made, and who has its lock',
    run: async (call) => {
      const vdi = await call.client.vdi(await call.mount(), call.argument(0))
      call.print(vdi, () => infoText(vdi))
      return EXIT.done
    },
  },
  {
    name: 'vdi rollback',
    arguments: 'VDI@TAG',
    summary: 'goes back to a snapshot; what the VDI has now is kept as another',
    run: rollback,
  },
  {
    name: 'vdi snapshot',
    arguments: 'VDI TAG',
    summary: 'the same as snapshot VDI TAG',
    run: snapshot,
  },
  {
    name: 'snapshot',
    arguments: 'VDI TAG',
    summary: 'keeps the present content of a VDI as VDI@TAG',
    run: snapshot,
  },
  {
    name: 'snapshot list',
    arguments: '[VDI]',
    summary: 'snapshots in the cluster, of one VDI or of all',
    run: async (call) => {
      const [name] = call.args
      const all = await call.client.vdis(await call.mount())
      const snapshots = all.filter((vdi) => vdi.snapshot && (name === undefined || vdiName(vdi).split('@')[0] === name))
      call.print(snapshots, () => tableText(VDI_COLUMNS, snapshots.map(vdiRow)))
      return EXIT.done
    },
  },
  {
    name: 'snapshot create',
    arguments: 'VDI TAG',
    summary: 'the same as snapshot VDI TAG',
    run: snapshot,
  },
  {
    name: 'snapshot delete',
    arguments: 'VDI@TAG...',
    summary: 'deletes snapshots for good, and nothing that is no snapshot',
    run: async (call) => {
      const mount = await call.mount()
      return call.forEach((name) => {
        if (name.includes('@')) return deleteVdi(call, mount, name)
        throw new SheepfsError('invalid', `"${name}" is no snapshot: expected VDI@TAG or VDI@ID`)
      })
    },
  },
  {
    name: 'clone',
    arguments: 'VDI@TAG NAME',
    summary: 'makes a VDI of a snapshot',
    run: async (call) => {
      const [vdi, name] = [call.argument(0), call.argument(1)]
      return printVdi(call, 'made', await call.client.cloneVdi(await call.mount(), vdi, { name }))
    },
  },
  {
    name: 'resize',
    arguments: 'VDI SIZE',
    summary: 'grows a VDI to SIZE bytes, and the block devices on it',
    run: async (call) => {
      const size = wholeSectors(parseByteSize(call.argument(1)))
      return printVdi(call, 'resized', await call.client.resizeVdi(await call.mount(), call.argument(0), { size }))
    },
  },
]

function vdiRow(vdi: Vdi): string[] {
  const sizes = [vdi.size, vdi.used, vdi.shared].map(byteSizeText)
  return [vdiName(vdi), kindOf(vdi), ...sizes, vdi.copies, minuteText(vdi.created_at)]
}

function vdiName({ volume, name }: Vdi): string {
  return volume ?? JSON.stringify(name)
}

function kindOf({ snapshot, clone, hyper }: Vdi): string {
  return snapshot ? 'snapshot' : clone ? 'clone' : hyper ? 'hyper' : 'vdi'
}

function minuteText(time: string): string {
  return time.slice(0, 16).replace('T', ' ')
}

function infoText(vdi: VdiInfo): string {
  const lock = vdi.locked ? `by a client of sheep ${vdi.locked_through ?? '(several)'}` : 'no'
  const lines = [
    `volume       ${vdiName(vdi)}`,
    `kind         ${kindOf(vdi)}`,
    `size         ${byteSizeText(vdi.size)}`,
    `used         ${byteSizeText(vdi.used)}, and ${byteSizeText(vdi.shared)} shared`,
    `object size  ${byteSizeText(vdi.object_size)}`,
    `copies       ${vdi.copies}`,
    `made of      ${vdi.parent ?? '-'}`,
    `snapshot id  ${vdi.snapshot ? vdi.snapshot_id : '-'}`,
    `vid          ${vdi.vid}`,
    `locked       ${lock}`,
    `created      ${minuteText(vdi.created_at)} UTC`,
  ]
  return `${lines.join('\n')}\n`
}

async function snapshot(call: Call): Promise<number> {
  const [vdi, tag] = [call.argument(0), call.argument(1)]
  return printVdi(call, 'made', await call.client.snapshotVdi(await call.mount(), vdi, { tag }))
}

async function rollback(call: Call): Promise<number> {
  const target = call.argument(0)
  const done = await call.client.rollbackVdi(await call.mount(), target)
  const { vdi, kept } = done
  const former = kept === null ? '' : `; what it had is kept as ${vdiName(kept)}`
  call.print(done, () => `${vdiName(vdi)} is what ${target} is, ${byteSizeText(vdi.size)}${former}\n`)
  return EXIT.done
}

function printVdi(call: Call, done: string, vdi: Vdi): number {
  call.print(vdi, () => `${done} ${vdi.volume ?? vdi.name}, ${byteSizeText(vdi.size)}\n`)
  return EXIT.done
}

function vdiCreate(call: Call): VdiCreate {
  const [copies, objectSize] = [call.text('copies'), call.text('object-size')]
  return {
    name: call.argument(0),
    size: wholeSectors(parseByteSize(call.argument(1))),
    hyper: call.flag('hyper'),
    ...(copies !== undefined && { copies }),
    ...(objectSize !== undefined && { object_size_shift: shiftOf(objectSize) }),
  }
}

/** Objects of 1M and of 2G, as powers of two. */
const LEAST_SHIFT = 20
const LARGEST_SHIFT = 31

function shiftOf(text: string): number {
  const shift = Math.log2(parseByteSize(text))
  if (Number.isInteger(shift) && shift >= LEAST_SHIFT && shift <= LARGEST_SHIFT) return shift
  throw new SheepfsError('invalid', `--object-size "${text}": expected a power of two from 1M to 2G`)
}

/** Follows the events while the daemon deletes. */
async function deleteVdi(call: Call, mount: string, vdi: string): Promise<void> {
  const watch = new AbortController()
  const watching = showProgress(call, { mount, vdi, signal: watch.signal })
  try {
    await call.client.deleteVdi(mount, vdi)
  } finally {
    watch.abort()
    await watching
  }
  call.print({ deleted: vdi }, () => `deleted ${vdi}\n`)
}

async function showProgress(call: Call, watched: { mount: string; vdi: string; signal: AbortSignal }): Promise<void> {
  const { mount, vdi, signal } = watched
  try {
    for await (const { type, vdi: of, done = 0, total = 0 } of call.client.events({ mount, signal })) {
      if (type === 'progress' && of === vdi) call.showProgress(`${vdi}: ${done} of ${total} objects`)
    }
  } catch {
    // without events there is no progress to see; the operation goes on
  }
}
