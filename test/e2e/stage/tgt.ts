import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { addressText, type Address } from '../../../src/sheep/address.ts'
import { run, succeed, textOf } from './program.ts'
import type { Stage } from './stage.ts'

const TARGET = 'iqn.2024-01.test.sheepfs:volume'
/** The sheepdog driver of tgtd cuts the port of a sheep after four digits. */
const PORTS = { from: 2000, to: 10_000 } as const
/** tgtd tells nobody when it listens; its control socket is asked until it answers. */
const PAUSE_MS = 50

/** A VDI exported over iSCSI by tgtd, with the sheepdog driver of its own. */
export interface Tgt {
  /** For QEMU's tools. */
  readonly url: string
  /** Ends it and resolves when it is gone. */
  stop(): Promise<void>
}

/** Starts tgtd on free ports and exports a VDI. */
export async function exportByTgt(stage: Stage, sheep: Address, vdi: string): Promise<Tgt> {
  const port = await portForTgt()
  const control = ['-C', String(port)] // which of several tgtd on one machine
  const tgtd = stage.start('tgtd', ['-f', ...control, '--iscsi', `portal=127.0.0.1:${port}`])
  const output = [textOf(tgtd.stdout), textOf(tgtd.stderr)]
  const tgtadm = [...control, '--lld', 'iscsi']
  while ((await run('tgtadm', [...tgtadm, '--op', 'show', '--mode', 'target'])).status !== 0) {
    if (tgtd.exitCode !== null) throw new Error(`tgtd ended: ${output.map((text) => text()).join('')}`)
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  const target = ['--tid', '1']
  await succeed('tgtadm', [...tgtadm, '--op', 'new', '--mode', 'target', ...target, '-T', TARGET])
  const backing = ['--bstype', 'sheepdog', '--backing-store', `tcp:${addressText(sheep)}:${vdi}`]
  await succeed('tgtadm', [...tgtadm, '--op', 'new', '--mode', 'logicalunit', ...target, '--lun', '1', ...backing])
  await succeed('tgtadm', [...tgtadm, '--op', 'bind', '--mode', 'target', ...target, '-I', 'ALL'])
  return {
    url: `iscsi://127.0.0.1:${port}/${TARGET}/1`,
    stop: async () => {
      const ended = once(tgtd, 'exit')
      await succeed('tgtadm', [...tgtadm, '--op', 'delete', '--mode', 'target', ...target, '--force'])
      await succeed('tgtadm', [...tgtadm, '--op', 'delete', '--mode', 'system'])
      await ended
    },
  }
}

/** A free port that tgtd can reach a sheep at. */
export async function portForTgt(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to)
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch {
      continue // it is in use
    }
    server.close()
    await once(server, 'close')
    return port
  }
}
