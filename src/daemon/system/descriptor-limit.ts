import { readFile } from 'node:fs/promises'

/** How many descriptors this process may have; Infinity where that cannot be told. */
export async function descriptorLimit(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? []
  return soft === undefined ? Infinity : Number(soft)
}
