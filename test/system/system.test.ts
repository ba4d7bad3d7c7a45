import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { succeed } from '../e2e/stage/program.ts'
import { cannotBoot, Machine } from './stage/machine.ts'

const ROOT = join(import.meta.dirname, '../../..')
const LIMIT = { timeout: 240_000 }
const CONFIG = `
sheep = ["127.0.0.1:7000"]
socket_group = "sheepfs"
[[mount]]
mountpoint = "/srv/cluster1"
`
/** VDI names as they can be, and as they are written in a source and in a file name. */
const STRANGE = [
  { vdi: 'a b', volume: 'a b' },
  { vdi: '50%', volume: '50%25' },
  { vdi: 'two\nlines', volume: 'two%0Alines' },
  { vdi: '..', volume: '.%2E' },
  { vdi: 'x'.repeat(255), volume: 'x'.repeat(255) },
  { vdi: 'a-b.c@d:e\\x2d$(id)', volume: 'a-b.c%40d:e\\x2d$(id)' },
]
const LAMB = `[Service]
ExecStart=/usr/bin/node /usr/lib/sheepfs/dist/src/lamb/lamb.js --store /var/lib/lamb --port 7000
[Install]
WantedBy=multi-user.target
`

const reason = await cannotBoot()

describe('sheepfs on a booted system', { ...LIMIT, skip: reason }, () => {
  let machine: Machine
  const sh = (command: string): Promise<string> => machine.succeed('bash', '-c', command)
  const ctl = (...args: string[]): Promise<string> => machine.succeed('sheepfsctl', ...args)

  before(async () => {
    await succeed(process.execPath, [join(ROOT, 'packaging/package-deb.mjs')], { limitMs: 200_000 })
    const deb = (await readdir(join(ROOT, 'build'))).find((name) => name.endsWith('.deb')) ?? ''
    machine = await Machine.create()
    await machine.copy(join(ROOT, 'build', deb), '/var/tmp/sheepfs.deb')
    await machine.write('/etc/systemd/system/lamb.service', LAMB)
    await machine.write('/etc/sheepfs/cluster1.toml', CONFIG)
    await sh_mkdir()
    await machine.boot()
  }, LIMIT)
  after(() => machine.destroy())

  async function sh_mkdir(): Promise<void> {
    for (const name of ['cluster1', 'tree', 'web', 'vm']) await machine.write(`/srv/${name}/.keep`, '')
  }

  test('the package installs, and starts nothing', LIMIT, async () => {
    await sh('apt-get install -y --no-download /var/tmp/sheepfs.deb 2>&1')
    assert.equal((await machine.run('systemctl', 'is-active', 'sheepfs@cluster1')).stdout.trim(), 'inactive')
    assert.match(await sh('id sheepfs'), /uid=\d+\(sheepfs\) gid=\d+\(sheepfs\)/)
  })

  test('the units are what systemd wants them to be', LIMIT, async () => {
    assert.equal(await sh('systemd-analyze verify sheepfs@cluster1.service 2>&1 | grep -i sheepfs || true'), '')
    const exposure = await sh('systemd-analyze security --no-pager sheepfs@cluster1.service | tail -1')
    assert.ok(Number(/level for .*: ([\d.]+)/.exec(exposure)?.[1]) <= 5, exposure)
  })

  test('an enabled instance is active when its mount serves, visible to everybody', LIMIT, async () => {
    await sh('systemctl start lamb && systemctl enable --now sheepfs@cluster1')
    assert.match(await sh('cat /srv/cluster1/cluster/info'), /Cluster status: running/)
    assert.match(await sh('findmnt -no FSTYPE,SOURCE /srv/cluster1'), /fuse\.sheepfs +cluster1/)
    assert.equal(await sh('stat -c "%a %G" /run/sheepfs/cluster1/control.sock'), '660 sheepfs')
  })

  test('VDI names of every kind go through the API, the tree and mount', LIMIT, async () => {
    for (const { vdi, volume } of STRANGE) {
      await ctl('vdi', 'create', volume, '32M')
      await ctl('attach', volume)
      const file = `/srv/cluster1/volume/${volume}`
      await machine.succeed('mkfs.ext4', '-q', file)
      await ctl('detach', volume)
      await machine.succeed('mount', '-t', 'sheepfs', `cluster1/${volume}`, '/srv/web')
      await machine.succeed('umount', '/srv/web')
      assert.ok(vdi !== '')
    }
    assert.equal(await ctl('volumes', '--json'), '[]')
  })
})
