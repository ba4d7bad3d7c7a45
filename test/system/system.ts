import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { succeed } from '../e2e/stage/program.ts'
import { cannotBoot, Machine } from './stage/machine.ts'

const ROOT = join(import.meta.dirname, '../../..')
const LIMIT = { timeout: 240_000 }

const CONFIG = `sheep = ["127.0.0.1:7000"]
socket_group = "sheepfs"
[[mount]]
mountpoint = "/srv/cluster1"
`
const LAMB = `[Service]
ExecStart=/usr/bin/node /usr/lib/sheepfs/dist/src/lamb/lamb.js --store /var/lib/lamb --port 7000
[Install]
WantedBy=multi-user.target
`
const FSTAB = `cluster1 /srv/tree sheepfs _netdev,nofail 0 0
cluster1/web01 /srv/web sheepfs _netdev,nofail,noatime 0 0
cluster1/vm /srv/vm sheepfs _netdev,noauto,partition=1,fstype=ext4 0 0
cluster1/a\\040b-c\\134x2d%250%0A$(id) /srv/strange sheepfs noauto,user,x-any.thing 0 0
`
/** Names of VDIs, and as a source and a file name hold them: what the grammar, the shell and unit names escape. */
const STRANGE = [
  { vdi: 'a b-c\\x2d%0\n$(id)', volume: 'a b-c\\x2d%250%0A$(id)' },
  { vdi: '..', volume: '%2E.' },
  { vdi: 'x'.repeat(255), volume: 'x'.repeat(255) },
]
/** A partition table with one partition from 1 MiB to the end of 64 MiB, for dd: the entry and the signature. */
const PARTITION = String.raw`printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\370\001\0'`

const reason = await cannotBoot()

describe('sheepfs on a booted system', { timeout: 500_000, skip: reason }, () => {
  let machine: Machine
  const sh = (command: string): Promise<string> => machine.succeed('bash', '-c', command)

  before(async () => {
    await succeed(process.execPath, [join(ROOT, 'packaging/package-deb.mjs')], { limitMs: 200_000 })
    const deb = (await readdir(join(ROOT, 'build'))).find((name) => name.endsWith('.deb')) ?? ''
    machine = await Machine.create()
    await machine.copy(join(ROOT, 'build', deb), '/var/tmp/sheepfs.deb')
    await machine.write('/etc/systemd/system/lamb.service', LAMB)
    await machine.write('/etc/sheepfs/cluster1.toml', CONFIG)
    for (const name of ['cluster1', 'tree', 'web', 'vm', 'strange']) await machine.write(`/srv/${name}/.below`, '')
    await machine.boot()
  }, LIMIT)
  after(() => machine.destroy(), LIMIT)

  test('the package installs, and starts nothing', LIMIT, async () => {
    await sh('apt-get install -y /var/tmp/sheepfs.deb 2>&1')
    assert.equal((await machine.run('systemctl', 'is-active', 'sheepfs@cluster1')).stdout.trim(), 'inactive')
    await sh('getent passwd sheepfs')
  })

  test('systemd finds no fault with the units, and little exposure', LIMIT, async () => {
    assert.equal(await sh('systemd-analyze verify sheepfs@cluster1.service 2>&1'), '')
    const exposure = await sh('systemd-analyze security --no-pager sheepfs@cluster1.service | tail -1')
    assert.ok(Number(/level for .*: ([\d.]+)/.exec(exposure)?.[1]) <= 5, exposure)
  })

  test('an enabled instance is active once its mount serves, for everybody to see', LIMIT, async () => {
    await sh('systemctl enable --now lamb && sleep 1 && systemctl enable --now sheepfs@cluster1')
    assert.match(await sh('cat /srv/cluster1/cluster/info'), /Cluster status: running/)
    assert.match(await sh('findmnt -no FSTYPE,SOURCE /srv/cluster1'), /fuse\.sheepfs +cluster1/)
    assert.equal(await sh('find /run/sheepfs /srv/cluster1 -perm -o+w ! -type l'), '')
    assert.equal(await sh('stat -c "%a %G" /run/sheepfs/cluster1/control.sock'), '660 sheepfs')
    await assert.rejects(
      sh('setpriv --reuid=65534 --regid=65534 --clear-groups sheepfsctl -i cluster1 status'),
      /may not/,
    )
    await assert.rejects(sh('setpriv --reuid=65534 --regid=65534 --clear-groups ls /srv/cluster1/volume'), /denied/)
  })

  test('fstab lines are mounted by mount -a and by mount units, and umount leaves nothing', LIMIT, async () => {
    await sh('sheepfsctl vdi create web01 64M && sheepfsctl attach web01')
    await sh('mkfs.ext4 -q /srv/cluster1/volume/web01 && sheepfsctl detach web01')
    await machine.write('/etc/fstab', FSTAB)
    assert.match(await sh('findmnt --verify 2>&1'), / 0 errors/)
    await sh('mount -a && mount -a && cp /etc/passwd /srv/web/ && test -d /srv/tree/volume')
    assert.equal(await sh('grep -c /srv/ /proc/self/mounts'), '3')
    await sh('umount /srv/web /srv/tree')
    assert.equal(await sh('losetup -l -n | grep -c web01 || true'), '0')
    assert.equal(await sh('sheepfsctl volumes --json'), '[]')
    await sh(
      'systemctl daemon-reload && systemctl start srv-web.mount srv-tree.mount && cmp /etc/passwd /srv/web/passwd',
    )
  })

  test('strange names go through the API, the tree, mount and fstab unharmed', LIMIT, async () => {
    for (const { vdi, volume: name } of STRANGE) {
      await machine.succeed('sheepfsctl', 'vdi', 'create', vdi, '16M')
      await machine.succeed('sheepfsctl', 'attach', name)
      await machine.succeed('mkfs.ext4', '-q', `/srv/cluster1/volume/${name}`)
      await machine.succeed('sheepfsctl', 'detach', name)
      await machine.succeed('mount', '-t', 'sheepfs', `cluster1/${name}`, '/srv/strange')
      await sh('umount /srv/strange')
    }
    await sh('mount /srv/strange && umount /srv/strange')
    await sh('systemctl start srv-strange.mount && mountpoint /srv/strange && systemctl stop srv-strange.mount')
    assert.doesNotMatch(await sh('sheepfsctl volumes --json'), /strange|xxx|a b/)
  })

  test(
    'a partition of a VM image is mounted by one line; QEMU works on the volume with direct I/O',
    LIMIT,
    async () => {
      await sh('sheepfsctl vdi create vm 64M && sheepfsctl attach vm')
      const volume = '/srv/cluster1/volume/vm'
      await sh(`mkfs.ext4 -q -E offset=1048576 ${volume} 63M`)
      await sh(`${PARTITION} | dd of=${volume} bs=1 seek=446 conv=notrunc status=none`)
      await sh(String.raw`printf '\125\252' | dd of=${volume} bs=1 seek=510 conv=notrunc status=none`)
      await sh('mount /srv/vm && cp /etc/group /srv/vm/ && umount /srv/vm')
      await sh('mount /srv/vm -o ro || mount /srv/vm; cmp /etc/group /srv/vm/group && umount /srv/vm')
      await assert.rejects(sh('mount -t sheepfs cluster1/vm /srv/vm -o partition=7'), /no partition 7: it has 1/)
      if ((await machine.run('which', 'qemu-img', 'qemu-io')).status === 0) {
        await sh(
          `qemu-img info -f raw ${volume} && qemu-img convert -f raw -O raw ${volume} /tmp/copy && cmp /tmp/copy ${volume}`,
        )
        await sh(`qemu-io -f raw -t none -c 'write -P 7 60M 64k' -c flush -c 'read -P 7 60M 64k' ${volume}`)
      }
      await sh('sheepfsctl detach vm')
    },
  )

  test('a killed worker is not noticed, a killed daemon is mended by the restart', LIMIT, async () => {
    await sh(
      '(for i in $(seq 40); do dd if=/dev/urandom of=/srv/web/f bs=64k count=1 oflag=sync status=none || exit 9; done) & ' +
        'kill -KILL $(sheepfsctl mounts --json | grep -oP \'"pid": ?\\K\\d+\'); wait $!',
    )
    await sh('systemctl kill --kill-whom=main -s KILL sheepfs@cluster1')
    await machine.eventually('sheepfsctl health && cmp /etc/passwd /srv/web/passwd && test -d /srv/tree/volume')
  })

  test('reload and restart keep what is mounted', LIMIT, async () => {
    await machine.write('/etc/sheepfs/cluster1.toml', CONFIG.replace('[[mount]]', '[[mount]]\nvolumes = ["vm"]'))
    await sh('systemctl reload sheepfs@cluster1')
    await machine.eventually('test -e /srv/cluster1/volume/vm')
    await sh('systemctl restart sheepfs@cluster1')
    await machine.eventually('cmp /etc/passwd /srv/web/passwd && test -d /srv/tree/volume')
  })

  test('an upgrade of the package gives every mount a new worker under I/O', LIMIT, async () => {
    await sh(
      '(while ! test -e /tmp/stop; do dd if=/dev/urandom of=/srv/web/f bs=64k count=1 oflag=sync status=none || exit 9; done) & ' +
        'apt-get install -y --reinstall /var/tmp/sheepfs.deb 2>&1; touch /tmp/stop; wait $!',
    )
    assert.match(await sh('sheepfsctl mounts --json'), /"generation": ?2/)
    const refusal = await machine.run('apt-get', 'remove', '-y', 'sheepfs')
    assert.notEqual(refusal.status, 0, 'what is mounted is not removed')
  })

  test('a shutdown in the middle of writes keeps what was synced, and the next boot has it', LIMIT, async () => {
    await sh('head -c 5M /dev/urandom > /srv/web/big && sync -f /srv/web && sha256sum /srv/web/big > /srv/sum')
    await machine.succeed('systemd-run', '--collect', 'bash', '-c', 'while :; do cp /srv/web/big /srv/web/copy; done')
    await machine.shutDown()
    await machine.boot()
    await machine.eventually('sha256sum --check /srv/sum && test -d /srv/tree/volume')
    assert.equal(await sh('systemctl is-active sheepfs@cluster1 srv-web.mount | sort -u'), 'active')
  })

  test('a cluster that dies while mounted does not hold up the shutdown', LIMIT, async () => {
    await sh('echo unsaved > /srv/web/unsaved; systemctl disable lamb; systemctl kill -s KILL lamb')
    assert.ok((await machine.shutDown()) < 150_000)
  })
})
