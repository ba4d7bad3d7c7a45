import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { missing } from './stage/ability.ts'
import { EXIT } from '../../src/cli/exit-code.ts'
import { runSheepfsctl } from '../../src/cli/sheepfsctl-run.ts'
import { run } from './stage/program.ts'
import { addressText } from '../../src/sheep/address.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { removeMount, sheepfsArguments, startSheepfs } from './stage/sheepfs.ts'
import { startSheepfsd, tableOf } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20

describe('the lock of an attached VDI', { skip: missing('fuse', 'root'), timeout: 120_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage, ['--locking'])
  })
  after(() => stage.close())

  test('keeps others out, outlives a kill, can be broken, and goes with a clean exit', async () => {
    const name = await sheep.createVdi(16 * MIB)
    const second = async (): Promise<string> => {
      const args = [...sheepfsArguments({ sheep, attach: [name] }), '-f', await stage.mountpoint()]
      const { status, stderr } = await run(process.execPath, args)
      assert.equal(status, 1)
      return stderr
    }
    const owner = `locked by a client of sheep ${sheep.address.host}:${sheep.address.port}`
    const first = await startSheepfs(stage, { sheep, attach: [name] })
    assert.ok((await second()).includes(owner))

    await first.kill()
    await removeMount(first.mountpoint)
    const advice = await second()
    assert.ok(advice.includes(owner) && advice.includes('--break-lock'))

    const breaker = await startSheepfs(stage, { sheep, attach: [name], args: ['--break-lock'] })
    await breaker.stop()
    await (await startSheepfs(stage, { sheep, attach: [name] })).stop()
  })

  test('is taken over by a new worker where its predecessor held it by whatever name, and nowhere else', async () => {
    const [own, foreign] = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    const mount = {
      name: 'm',
      mountpoint: await stage.mountpoint(),
      sheep: [addressText({ ...sheep.address, host: 'localhost' })],
      volumes: [own],
    }
    const daemon = await startSheepfsd(stage, { mounts: [mount] })
    const other = await startSheepfs(stage, { sheep, attach: [foreign] })
    await daemon.client.restartMount('m')
    assert.deepEqual((await daemon.client.mount('m')).volumes, [own])
    await assert.rejects(daemon.client.attach('m', foreign, {}), { code: 'locked' })
    await other.stop()
    assert.equal((await daemon.client.attach('m', foreign, {})).isNew, true)
    assert.equal(await daemon.stop(), 0)
  })

  test('keeps others from a rollback, and who has it attached from his own', async () => {
    const name = await sheep.createVdi(MIB)
    const daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, 'm', sheep, [])] })
    const { client } = daemon
    await client.snapshotVdi('m', name, { tag: 's' })
    const { volume } = await client.attach('m', name, {})
    await writeFile(volume.path, 'later', { flag: 'r+', flush: true })
    await assert.rejects(client.rollbackVdi('m', `${name}@s`), { code: 'busy', message: /is attached here: detach it/ })
    await client.detach('m', name, false)
    const other = await startSheepfs(stage, { sheep, attach: [name] })
    assert.equal((await client.vdi('m', name)).locked_through, addressText(sheep.address))
    await assert.rejects(client.rollbackVdi('m', `${name}@s`), { code: 'locked' })
    await other.stop()
    const { vdi, kept } = await client.rollbackVdi('m', `${name}@s`)
    assert.deepEqual([vdi.volume, kept?.volume], [name, `${name}@2`])
    const { locked, parent } = await client.vdi('m', name)
    assert.deepEqual([locked, parent], [false, `${name}@s`])
    for (const [of, content] of [
      [name, '\0\0\0\0\0'],
      [`${name}@2`, 'later'],
    ] as const) {
      const { volume } = await client.attach('m', of, {})
      assert.equal((await readFile(volume.path, 'latin1')).slice(0, 5), content)
    }
    assert.equal(await daemon.stop(), 0)
  })

  test('is broken by the option of sheepfsctl that its refusal names', async () => {
    const name = await sheep.createVdi(MIB)
    const owner = await startSheepfs(stage, { sheep, attach: [name] })
    await owner.kill()
    await removeMount(owner.mountpoint)
    const daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, 'm', sheep, [])] })
    const attach = async (...options: readonly string[]): Promise<{ code: number; complaint: string }> => {
      let complaint = ''
      const code = await runSheepfsctl(['attach', ...options, name], {
        variables: { SHEEPFS_RUNTIME_DIR: daemon.place.runtimeDirectory },
        write: () => undefined,
        writeError: (text) => (complaint += text),
        showsProgress: false,
      })
      return { code, complaint }
    }
    const { code, complaint } = await attach()
    const [option = ''] = /--\S+$/.exec(complaint.trim()) ?? []
    assert.equal(code, EXIT.conflict)
    assert.deepEqual(await attach(option), { code: EXIT.done, complaint: '' })
    assert.equal(await daemon.stop(), 0)
  })
})
