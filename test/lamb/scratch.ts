import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Lamb, type LambOptions } from '../../src/lamb/server.ts'
import { WireClient } from './wire-client.ts'

/** A directory that goes with the test. */
export async function scratchDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'lamb-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A lamb and a client of it, which go with the test. */
export async function startLamb(
  t: TestContext,
  options: Partial<LambOptions> = {},
): Promise<{ lamb: Lamb; client: WireClient; port: number; ports: readonly number[]; store: string }> {
  const store = options.store ?? (await scratchDirectory(t))
  const lamb = new Lamb({ port: 0, ...options, store })
  const { port, ports } = await lamb.open()
  const client = await WireClient.connect(port)
  t.after(async () => {
    client.close()
    await lamb.close()
  })
  return { lamb, client, port, ports, store }
}
