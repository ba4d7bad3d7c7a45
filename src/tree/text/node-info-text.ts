import type { StoreSpace } from '../../wire/info-ops.ts'
import { sizeText } from './size-text.ts'

const TITLE = 'Id\tSize\tUsed\tAvail\tUse%\n'

/**
 * `dog node info`. `stores` are those of the nodes that answered, in the order of the node list; `virtualSize` is the
 * sum of the sizes of all VDIs that are not snapshots, bytes. Without any store there is only the title.
 */
export function nodeInfoText(stores: readonly StoreSpace[], virtualSize: number): string {
  if (stores.length === 0) return TITLE
  const rows = stores.map((store, number) => `${String(number).padStart(2)}\t${spaceText(store)}\n`)
  const total = {
    size: stores.reduce((sum, store) => sum + store.size, 0),
    free: stores.reduce((sum, store) => sum + store.free, 0),
  }
  return `${TITLE}${rows.join('')}Total\t${spaceText(total)}\n\nTotal virtual image size\t${sizeText(virtualSize)}\n`
}

function spaceText({ size, free }: StoreSpace): string {
  const used = size - free
  // the quotient is taken first, as dog does: for whole percents the other order gives different bytes
  const percent = size === 0 ? 0 : Math.trunc((used / size) * 100)
  return `${sizeText(size)}\t${sizeText(used)}\t${sizeText(free)}\t${String(percent).padStart(3)}%`
}
