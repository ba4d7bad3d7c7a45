import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { Lamb, type LambOptions } from '../../../src/lamb/server.ts'
import { silentLogger } from '../../../src/log.ts'
import { Cluster } from '../../../src/sheep/cluster.ts'
import { openVolume } from '../../../src/volume/open-volume.ts'
import type { VdiSpec } from '../../../src/wire/vdi-ops.ts'

/** A lamb and a client of it, which go with the test. */
export async function lambCluster(
  t: TestContext,
  options: Partial<LambOptions> = {},
): Promise<{ lamb: Lamb; cluster: Cluster }> {
  const store = await mkdtemp(join(tmpdir(), 'sheepfs-manage-'))
  const lamb = new Lamb({ port: 0, ...options, store })
  const address = await lamb.open()
  const cluster = new Cluster({ world: realWorld, addresses: [address], log: silentLogger() })
  t.after(async () => {
    cluster.close()
    await lamb.close()
    await rm(store, { recursive: true, force: true })
  })
  await cluster.open()
  return { lamb, cluster }
}

/** Writes `text` at a place of the working VDI. */
export async function writeText(cluster: Cluster, name: string, position: number, text: string): Promise<void> {
  const volume = await openVolume(cluster, { name: Buffer.from(name) }, { log: silentLogger() })
  await volume.write(position, Buffer.from(text))
  await volume.close()
}

export async function readText(cluster: Cluster, spec: VdiSpec, position: number, length: number): Promise<string> {
  const volume = await openVolume(cluster, spec, { log: silentLogger(), readOnly: true })
  const into = Buffer.alloc(length)
  await volume.read(position, into)
  await volume.close()
  return into.toString('latin1')
}
