import type { VdiSummary } from '../../sheep/vdi-list.ts'
import { copiesText, isClone, type InodeHeader } from '../../wire/inode.ts'
import { sizeText } from './size-text.ts'
import { minuteText } from './time-text.ts'

const TITLE = '  Name        Id    Size    Used  Shared    Creation time   VDI id  Copies  Tag   Block Size Shift\n'
const NAME_WIDTH = 8
const TAG_WIDTH = 13

/** `dog vdi list`. The VDIs come in the order of their vids; names and tags are bytes of any encoding, and stay so. */
export function vdiListText(vdis: readonly VdiSummary[]): Buffer {
  return Buffer.concat([Buffer.from(TITLE), ...vdis.map(vdiRow)])
}

/** `%c %-8s %5d %7s %7s %7s %s  %7x %6s %13s %3u\n`: names and tags that are longer than their column shift the rest. */
function vdiRow({ header, used, shared }: VdiSummary): Buffer {
  const objectSize = 2 ** header.blockSizeShift
  const columns = [
    String(header.isSnapshot ? header.snapId : 0).padStart(5),
    sizeText(header.vdiSize).padStart(7),
    sizeText(used * objectSize).padStart(7),
    sizeText(shared * objectSize).padStart(7),
    minuteText(header.createSeconds),
    '',
  ].join(' ')
  return Buffer.concat([
    Buffer.from(`${vdiFlag(header)} `),
    header.name,
    spaces(NAME_WIDTH - header.name.length),
    Buffer.from(
      ` ${columns} ${header.vdiId.toString(16).padStart(7)} ${copiesText(header.nrCopies, header.copyPolicy).padStart(6)} `,
    ),
    spaces(TAG_WIDTH - header.tag.length),
    header.tag,
    Buffer.from(` ${String(header.blockSizeShift).padStart(3)}\n`),
  ])
}

function vdiFlag(header: InodeHeader): string {
  if (header.isSnapshot) return 's'
  return isClone(header) ? 'c' : ' '
}

function spaces(count: number): Buffer {
  return Buffer.alloc(Math.max(count, 0), ' ')
}
