import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { run, succeed } from '../e2e/stage/program.ts'
import { startLamb } from '../e2e/stage/sheep.ts'
import { startSheepfsd, tableOf, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { CLUSTER_LIES } from './cluster-lies.ts'
import { RewritingProxy } from './rewriting-proxy.ts'
import { STREAM_LIES } from './stream-lies.ts'

const MIB = 2 ** 20
const MOST_MEMORY_KIB = 250e6 / 1024
const [LIED_TO, OTHER] = ['lied-to', 'other']

/** Of each kind, what takes most. */
const WORST = [
  'everything twice',
  'READ_OBJ: 4294967295 bytes follow, and bytes without end',
  'epochs that run on',
  '6144 nodes that are elsewhere',
  '6144 nodes of 2^22 vnodes',
  'a disk whose places are all the same',
  'other nodes in each epoch',
  'a status of epochs of all sizes',
  'all VDIs, in 2097152 bytes',
]

function readOf(path: string): string[] {
  return [`if=${path}`, 'of=/dev/null', 'bs=64k', 'count=1', 'iflag=direct', 'status=none']
}

async function memoryKib(daemon: Sheepfsd, mount: string): Promise<number> {
  const status = await readFile(`/proc/${await daemon.workerPid(mount)}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1])
}

describe('a mount beside one whose sheep lies', { skip: missing('fuse', 'root'), timeout: 300_000 }, () => {
  test('goes on, whatever that sheep says', async (context) => {
    const stage = new Stage()
    context.after(() => stage.close())
    const sheep = await startLamb(stage)
    const proxy = await RewritingProxy.start(context, sheep.address)
    const [volume, another] = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    const { host, port } = proxy.address
    const liedTo = { ...(await tableOf(stage, LIED_TO, sheep, [volume])), sheep: [`${host}:${port}`], io_timeout: 2 }
    const other = await tableOf(stage, OTHER, sheep, [another])
    const daemon = await startSheepfsd(stage, { mounts: [liedTo, other] })
    const pid = await daemon.workerPid(OTHER)
    const paths = [join(liedTo.mountpoint, 'volume', volume), join(other.mountpoint, 'volume', another)] as const
    const lies = [...STREAM_LIES, ...CLUSTER_LIES].filter(({ name }) => WORST.includes(name))
    assert.equal(lies.length, WORST.length)
    for (const { name, spoil } of lies) {
      await daemon.serving(LIED_TO, await daemon.killWorker(LIED_TO)) // what a lie takes is its own
      let count = 0
      proxy.lie = (answer) => spoil(answer, ++count)
      proxy.cutAll()
      const suffered = Promise.allSettled([
        run('dd', readOf(paths[0])),
        run('cat', [join(liedTo.mountpoint, 'cluster/info'), join(liedTo.mountpoint, 'vdi/list')]),
      ])
      await succeed('dd', readOf(paths[1]), { limitMs: 20_000 })
      assert.equal((await daemon.client.mount(OTHER)).state, 'serving', name)
      await suffered
      await succeed('dd', readOf(paths[1]), { limitMs: 20_000 })
      proxy.lie = undefined
      proxy.cutAll()
      assert.ok(
        (await memoryKib(daemon, LIED_TO)) < MOST_MEMORY_KIB,
        `${name}: ${await memoryKib(daemon, LIED_TO)} KiB`,
      )
    }
    assert.equal(await daemon.workerPid(OTHER), pid, 'the other worker was replaced')
    assert.equal(daemon.child.exitCode, null)
    const scores = [pid, daemon.child.pid].map((one) => readFile(`/proc/${one}/oom_score_adj`, 'utf8'))
    const [worker, supervisor] = (await Promise.all(scores)).map(Number)
    assert.ok((worker ?? 0) > (supervisor ?? 0), 'the supervisor is taken first when there is too little memory')
  })
})
