/** Applies `work` to every item, `width` at a time; the results come in the order of the items. */
export async function mapInOrder<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array<R>(items.length)
  const iterator = items.entries()
  const worker = async (): Promise<void> => {
    for (const [i, item] of iterator) results[i] = await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
  return results
}

/** Nodes that are asked at the same time: a list may name thousands. */
export const NODES_AT_ONCE = 16

/** As `mapInOrder`, for what each node of a cluster is asked. */
export function askAll<N, R>(nodes: readonly N[], ask: (node: N) => Promise<R>): Promise<R[]> {
  return mapInOrder(nodes, NODES_AT_ONCE, ask)
}
