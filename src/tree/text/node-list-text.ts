import { addrText, type NodeRecord } from '../../wire/node-record.ts'

/** `dog node list`. The nodes come in the order of the cluster's own list. */
export function nodeListText(nodes: readonly NodeRecord[]): string {
  const rows = nodes.map((node, number) => {
    const place = `${addrText(node.addr)}:${node.port}`.padEnd(20)
    const vnodes = String(node.nrVnodes).padStart(2)
    return `${String(number).padStart(4)}   ${place}\t${vnodes}${String(node.zone).padStart(11)}\n`
  })
  return `  Id   Host:Port         V-Nodes       Zone\n${rows.join('')}`
}
