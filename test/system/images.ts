import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Site, TREE } from './stage/site.ts'

const VOLUME = `${TREE}/volume/vm`
/** A partition table with one partition from 1 MiB to the end of 64 MiB, for dd: the entry and the signature. */
const ENTRY = String.raw`printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\370\001\0'`
const SIGNATURE = String.raw`printf '\125\252'`

/** The volume of a virtual machine. */
export function showImages(site: Site): void {
  const sh = (command: string): Promise<string> => site.sh(command)

  describe('images of virtual machines', () => {
    test('one line of fstab mounts a partition', async () => {
      await sh('sheepfsctl vdi create vm 64M && sheepfsctl attach vm')
      await sh(`mkfs.ext4 -q -E offset=1048576 ${VOLUME} 63M`)
      await sh(`${ENTRY} | dd of=${VOLUME} bs=1 seek=446 conv=notrunc status=none`)
      await sh(`${SIGNATURE} | dd of=${VOLUME} bs=1 seek=510 conv=notrunc status=none`)
      await site.directories('/srv/vm')
      await sh('echo "cluster1/vm /srv/vm sheepfs _netdev,noauto,partition=1,fstype=ext4" >>/etc/fstab')
      await sh('mount /srv/vm && cp /etc/group /srv/vm/ && umount /srv/vm')
      await sh('mount -o ro /srv/vm && cmp /etc/group /srv/vm/group && umount /srv/vm')
      await assert.rejects(sh('mount -t sheepfs cluster1/vm /srv/vm -o partition=7'), /no partition 7: it has 1/)
      assert.doesNotMatch(await site.leftovers(), /loop.*vm/)
    })

    test('QEMU reads, converts and writes the volume, with direct I/O', async () => {
      assert.match(await sh(`qemu-img info -f raw ${VOLUME}`), /virtual size: 64 MiB/)
      await sh(`qemu-img convert -f raw -O raw ${VOLUME} /tmp/copy && cmp /tmp/copy ${VOLUME}`)
      await sh(`qemu-img convert -n -t none -T none -f raw -O raw /tmp/copy ${VOLUME} && cmp /tmp/copy ${VOLUME}`)
      const io = `-c 'write -P 7 60M 64k' -c flush -c 'read -P 7 60M 64k' -c 'write -P 9 61441k 512' -c 'read -P 9 61441k 512'`
      assert.doesNotMatch(await sh(`qemu-io -f raw -t none ${io} ${VOLUME} 2>&1`), /failed|error/i)
      await sh('rm /tmp/copy && sheepfsctl detach vm')
    })
  })
}
