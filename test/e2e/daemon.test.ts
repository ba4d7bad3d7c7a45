import assert from 'node:assert/strict'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startLamb } from './stage/sheep.ts'
import { startSheepfsd, tableOf, WORKER_USER, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'
import { until } from '../sheep/until.ts'

const MIB = 2 ** 20

/** 76 and 61 measured with Node.js 20, 86 and 67 with 24, which takes more itself; the rest is for other machines. */
const [SUPERVISOR_LIMIT_MIB, WORKER_LIMIT_MIB] = process.versions.node.startsWith('20.') ? [82, 75] : [100, 90]
const OLD_MODE = { write_back: false, open_files_in_old_mode: 0 }

/** Resident memory of processes, MiB. */
function memoryOf(pids: readonly number[]): Promise<number[]> {
  return Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024)
    }),
  )
}

/** WRITE requests that a mount has answered. */
async function writesOf(daemon: Sheepfsd, mount: string): Promise<number> {
  const line = new RegExp(`^sheepfs_requests_total\\{mount="${mount}",operation="write"\\} (\\d+)`, 'm')
  return Number(line.exec(await daemon.client.metrics())?.[1] ?? 0)
}

describe('sheepfsd with three mounts of two clusters', { skip: missing('fuse', 'root'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let tables: readonly MountTable[]
  let volumes: readonly string[]
  let daemon: Sheepfsd
  before(async () => {
    const [one, other] = [await startLamb(stage), await startLamb(stage)]
    volumes = [await one.createVdi(MIB), await one.createVdi(MIB), await other.createVdi(MIB)]
    tables = [
      await tableOf(stage, 'a', one, volumes.slice(0, 1)),
      { ...(await tableOf(stage, 'b', one, volumes.slice(1, 2))), page_cache: true },
      await tableOf(stage, 'c', other, volumes.slice(2)),
    ]
    daemon = await startSheepfsd(stage, { mounts: tables })
  })
  after(() => stage.close())

  test('takes little memory once it idles', async (t) => {
    const workers = await Promise.all(tables.map(({ name }) => daemon.workerPid(name)))
    const limits = [SUPERVISOR_LIMIT_MIB, ...workers.map(() => WORKER_LIMIT_MIB)]
    let taken: readonly number[] = []
    // what a start leaves behind is collected some seconds later
    await until(async () => {
      taken = await memoryOf([daemon.child.pid ?? 0, ...workers])
      return taken.every((mib, at) => mib < (limits[at] ?? 0))
    })
    t.diagnostic(`supervisor and workers: ${taken.join(', ')} MiB`)
  })

  test('mounts all of them', async () => {
    assert.equal((await daemon.client.health()).status, 'ok')
    for (const [at, { mountpoint }] of tables.entries()) {
      assert.deepEqual(await readdir(join(mountpoint, 'volume')), [volumes[at]])
    }
  })

  test('serves them by workers without privileges', async () => {
    const uid = (await succeed('id', ['-u', WORKER_USER])).trim()
    for (const { name } of tables) {
      const status = await readFile(`/proc/${await daemon.workerPid(name)}/status`, 'utf8')
      assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t`, 'm'))
      assert.match(status, /^CapEff:\t0+$/m)
    }
  })

  test('shows which worker serves which mount, and of what version it is', async () => {
    const { version, mounts } = await daemon.client.status()
    for (const { name, mountpoint, worker } of mounts) {
      const line = await readFile(`/proc/${worker?.pid ?? 0}/cmdline`, 'utf8')
      assert.equal(line.replace(/\0.*/s, ''), `sheepfs-worker ${name} ${mountpoint}`)
      assert.equal(worker?.version, version)
    }
  })

  test('attaches, lists and detaches a volume', async () => {
    const [mount, volume = ''] = ['c', volumes[2]]
    await daemon.client.detach(mount, volume, false)
    assert.deepEqual(await daemon.client.volumes(mount), [])
    assert.equal((await daemon.client.attach(mount, volume, {})).isNew, true)
    assert.equal((await daemon.client.attach(mount, volume, {})).isNew, false)
    assert.deepEqual((await daemon.client.mount(mount)).volumes, [volume])
  })

  test('measures each volume for as long as it is attached', async () => {
    const [volume = '', path] = [volumes[2], join(tables[2]?.mountpoint ?? '', 'volume', volumes[2] ?? '')]
    const file = await open(path, 'r+')
    await file.write(Buffer.alloc(8192, 1), 0, 8192, 0)
    await file.read(Buffer.alloc(4096), 0, 4096, 0)
    await file.sync()
    const labels = (rest: string) => `{mount="c",volume="${volume}",${rest}}`
    const lines = (await daemon.client.metrics()).split('\n')
    for (const line of [
      `sheepfs_volume_request_bytes_total${labels('operation="write"')} 8192`,
      `sheepfs_volume_request_bytes_total${labels('operation="read"')} 4096`,
      `sheepfs_volume_request_duration_seconds_count${labels('operation="fsync"')} 1`,
      `sheepfs_volume_request_errors_total${labels('operation="write"')} 0`,
      `sheepfs_volume_open_files${labels('caching="direct"')} 1`,
      `sheepfs_volume_open_files${labels('caching="cached"')} 0`,
    ])
      assert.ok(lines.includes(line), `${line} in\n${lines.join('\n')}`)
    await file.close()
    await daemon.client.detach('c', volume, false)
    assert.doesNotMatch(await daemon.client.metrics(), new RegExp(`volume="${volume}"`))
    await daemon.client.attach('c', volume, {})
    assert.doesNotMatch(await daemon.client.metrics(), new RegExp(`_total\\{mount="c",volume="${volume}"`))
  })

  test('is driven with curl as well', async () => {
    const socket = join(daemon.place.runtimeDirectory, 'test', 'control.sock')
    const curl = async (path: string, ...args: readonly string[]): Promise<[status: string, body: string]> => {
      const options = ['--silent', '--unix-socket', socket, '--write-out', '\n%{http_code}']
      const lines = (await succeed('curl', [...options, ...args, `http://localhost/v1/mounts/c${path}`])).split('\n')
      return [lines.at(-1) ?? '', lines.slice(0, -1).join('\n')]
    }
    const volume = `/volumes/${volumes[2] ?? ''}`
    assert.equal((await curl(volume, '-X', 'DELETE'))[0], '204')
    assert.deepEqual(await curl('/volumes'), ['200', '[]'])
    assert.equal((await curl(volume, '-X', 'PUT'))[0], '201')
    assert.equal((await curl(volume, '-X', 'PUT'))[0], '200')
    assert.match((await curl('/volumes'))[1], new RegExp(`"name":"${volumes[2] ?? ''}"`))
    for (const isOn of [true, false]) {
      const body = JSON.stringify({ page_cache: isOn, object_cache: isOn })
      const [status, cache] = await curl('/cache', '-X', 'PATCH', '--json', body)
      assert.deepEqual([status, JSON.parse(cache)], ['200', { ...OLD_MODE, page_cache: isOn, object_cache: isOn }])
    }
  })

  test('refuses to detach a volume that is open, unless forced', async () => {
    const file = await open(join(tables[0]?.mountpoint ?? '', 'volume', volumes[0] ?? ''))
    const holder = new RegExp(`is in use: open 1 times?, by .*\\(pid ${process.pid}\\)`)
    await assert.rejects(daemon.client.detach('a', volumes[0] ?? '', false), { code: 'busy', message: holder })
    await daemon.client.detach('a', volumes[0] ?? '', true)
    await file.close()
    await daemon.client.attach('a', volumes[0] ?? '', {})
  })

  test('switches both caches, of one mount; only one that was mounted with the page cache writes back', async () => {
    const [through, back] = await Promise.all(
      ['a', 'b'].map((mount) => daemon.client.patchCache(mount, { page_cache: true, object_cache: true })),
    )
    assert.deepEqual(through, { page_cache: true, object_cache: true, write_back: false, open_files_in_old_mode: 0 })
    assert.deepEqual(back, { ...through, write_back: true })
    assert.equal((await daemon.client.patchCache('b', { page_cache: false })).page_cache, false)
    assert.equal((await daemon.client.cache('a')).page_cache, true)
    assert.deepEqual(
      [(await daemon.client.mount('a')).write_back, (await daemon.client.mount('b')).write_back],
      [false, true],
    )
  })

  test('a page cache that is switched on while mounted writes through', async () => {
    for (const [at, isHeldBack] of [false, true].entries()) {
      const [mount = '', volume = ''] = [tables[at]?.name, volumes[at]]
      await daemon.client.patchCache(mount, { page_cache: true })
      const file = await open(join(tables[at]?.mountpoint ?? '', 'volume', volume), 'r+')
      const before = await writesOf(daemon, mount)
      await file.write(Buffer.alloc(4096, 1))
      assert.equal((await writesOf(daemon, mount)) === before, isHeldBack)
      await file.close()
      await daemon.client.patchCache(mount, { page_cache: false })
    }
  })

  test('a volume has its new size everywhere once a resize has returned, in all cache modes', async () => {
    for (const [at, { name: mount, mountpoint }] of tables.slice(0, 2).entries()) {
      const volume = volumes[at] ?? ''
      const path = join(mountpoint, 'volume', volume)
      for (const [isCached, size] of [[false, 2 * MIB] as const, [true, 3 * MIB] as const]) {
        await daemon.client.patchCache(mount, { page_cache: isCached })
        const file = await open(path)
        await daemon.client.resizeVdi(mount, volume, { size })
        assert.equal((await stat(path)).size, size)
        assert.equal((await file.stat()).size, size)
        await file.close()
      }
    }
  })

  test('a VDI attached for reading has its new size too, where the page cache was off when it was mounted', async () => {
    const [mount, volume = ''] = ['c', volumes[2]]
    await daemon.client.detach(mount, volume, false)
    const {
      volume: { path },
    } = await daemon.client.attach(mount, volume, { read_only: true })
    for (const isCached of [false, true]) {
      await daemon.client.patchCache(mount, { page_cache: isCached })
      const size = (await stat(path)).size + MIB
      const file = await open(path)
      await daemon.client.resizeVdi(mount, volume, { size })
      assert.equal((await stat(path)).size, size)
      assert.equal((await file.stat()).size, size)
      await file.close()
    }
  })

  test('unmounts everything and ends with 0 on SIGTERM', async () => {
    assert.equal(await daemon.stop(), 0)
    for (const { mountpoint } of tables) assert.equal(await findMount(mountpoint), undefined)
  })
})
