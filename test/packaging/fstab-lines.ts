/** Lines of fstab, as systemd-fstab-generator and the generator of sheepfs read them. */
export interface Line {
  /** FOLDER: one with a link to `real`, and two links that lead to each other. */
  readonly text: string
  /** The mount unit that systemd makes of it. */
  readonly unit?: string
  /** It names no instance, or is nothing that an instance can be behind. */
  readonly isForeign?: boolean
  /** With its service, not by an automount, by another unit, or by hand. */
  readonly isStarted?: boolean
}

const started = (text: string, unit: string): Line => ({ text, unit, isStarted: true })
const tied = (text: string, unit: string): Line => ({ text, unit })
const ignored = (text: string): Line => ({ text })
const foreign = (text: string, unit: string): Line => ({ text, unit, isForeign: true, isStarted: true })

/** What people write, or a program that writes fstab. */
export const ODD_LINES: readonly Line[] = [
  ignored('# c/x /srv/comment sheepfs defaults 0 0'),
  ignored('\t # c/x /srv/comment2 sheepfs defaults 0 0'),
  ignored(''),
  ignored(' \t'),
  started('c/x /srv/plain sheepfs _netdev,nofail 0 0', 'srv-plain.mount'),
  started('c /srv/a-b sheepfs defaults 0 0', 'srv-a\\x2db.mount'),
  started('c/x /srv/three sheepfs', 'srv-three.mount'),
  started('c/x /srv/four sheepfs defaults', 'srv-four.mount'),
  started('\tc/x\t/srv/tabs \t sheepfs\tdefaults\t0\t0 \t', 'srv-tabs.mount'),
  started('c/x /srv/crlf sheepfs defaults 0 0\r', 'srv-crlf.mount'),
  started('c/x /srv/crlf4 sheepfs defaults\r', 'srv-crlf4.mount'),
  ignored('c/x /srv/crlf3 sheepfs\r'), // the type has a carriage return for systemd and mount(8) too
  started('c/x /srv/a\\040b\\011c\\134d\\\\e\\012f sheepfs', 'srv-a\\x20b\\x09c\\x5cd\\x5ce\\x0af.mount'),
  started('c/x /srv/\\\\040\\\\\\040\\134040 sheepfs', 'srv-\\x5c040\\x5c\\x20\\x5c040.mount'),
  started('c/x /srv/o\\055l sheepfs', 'srv-o\\x5c055l.mount'), // not one of getmntent's
  started('c/x /srv/end\\012 sheepfs', 'srv-end\\x0a.mount'),
  started('c/a\\040b /srv/source sheepfs', 'srv-source.mount'),
  started('c/x //srv//slashes/./x/// sheepfs', 'srv-slashes-x.mount'),
  started('c/x FOLDER/link/below sheepfs', 'FOLDER-real-below.mount'),
  started('c/x FOLDER/link sheepfs', 'FOLDER-real.mount'),
  started('c/x FOLDER/round/x sheepfs', 'FOLDER-round-x.mount'),
  started('c/x /srv/*?[a-z]~ sheepfs', 'srv-\\x2a\\x3f\\x5ba\\x2dz\\x5d\\x7e.mount'),
  started('c/x /srv/$HOME`id`"%n\' sheepfs', 'srv-\\x24HOME\\x60id\\x60\\x22\\x25n\\x27.mount'),
  started('c/x /-n sheepfs', '\\x2dn.mount'),
  started('c/x /srv/ü sheepfs', 'srv-\\xc3\\xbc.mount'),
  foreign('-n/x /srv/instance sheepfs', 'srv-instance.mount'),
  tied('c/x /srv/noauto sheepfs rw,noauto,user', 'srv-noauto.mount'),
  started('c/x /srv/auto sheepfs noauto,auto', 'srv-auto.mount'),
  tied('c/x /srv/autono sheepfs auto,noauto', 'srv-autono.mount'),
  started('c/x /srv/comma sheepfs x-a=b\\,noauto', 'srv-comma.mount'),
  started('c/x /srv/not sheepfs noautomatic,x-noauto,comment=noauto', 'srv-not.mount'),
  tied('c/x /srv/am sheepfs x-systemd.automount,x-systemd.idle-timeout=1h', 'srv-am.mount'),
  tied('c/x /srv/am2 sheepfs comment=systemd.automount', 'srv-am2.mount'),
  tied('c/x /srv/wanted sheepfs x-systemd.wanted-by=a.service', 'srv-wanted.mount'),
  tied('c/x /srv/required sheepfs x-systemd.required-by=a.service', 'srv-required.mount'),
  ignored('c/x none sheepfs'),
  ignored('c/x /srv/other ext4 defaults'),
  ignored('c/x /srv/other sheepfs'), // systemd takes the first line of a mountpoint
  started('d/x /srv/twice sheepfs', 'srv-twice.mount'),
  ignored('e/x /srv//twice/ sheepfs'),
  foreign('sheepdog://h/x /srv/alone sheepfs', 'srv-alone.mount'),
  foreign('a:b/x /srv/foreign sheepfs', 'srv-foreign.mount'),
  ignored('c/x'),
  ignored('c/x /srv/two'),
  ignored('c/x /srv/formfeed sheepfs\f'),
  ignored('c/x\v/srv/vt\vsheepfs'),
  ignored('c/x /srv/type sheepfs\\040'),
  ignored('c/x /srv/case SHEEPFS'),
  started('c/x srv/relative sheepfs', 'srv-relative.mount'),
  started('c/x /etc/../srv/up sheepfs', 'srv-up.mount'),
  started('c/x /../../srv/top sheepfs', 'srv-top.mount'),
  ignored('c/x /srv/no-such/../up2 sheepfs'), // systemd does not go up from what is not there
  ignored('c/x /srv/swapped swap'),
  started('c/x /srv/swapped sheepfs', 'srv-swapped.mount'), // swap takes no mountpoint, nor does autofs
  ignored('c/x /srv/auto-fs autofs'),
  started('c/x /srv/auto-fs sheepfs', 'srv-auto\\x2dfs.mount'),
  started('c/x /srv/comment3 sheepfs defaults # 0 0', 'srv-comment3.mount'),
  started('c/x /srv/numbers sheepfs defaults x 99999999999999999999', 'srv-numbers.mount'),
  started('c/x /srv/hash\\043 sheepfs', 'srv-hash\\x5c043.mount'),
  tied('c/x /srv/equals sheepfs noauto=0', 'srv-equals.mount'),
  started('c/x /srv/equals2 sheepfs noauto,auto=0', 'srv-equals2.mount'),
  started('c/x /srv/upper sheepfs NOAUTO', 'srv-upper.mount'),
  tied('c/x /srv/empty sheepfs ,,noauto,,', 'srv-empty.mount'),
  started('c/x /srv/blank sheepfs noauto\\040', 'srv-blank.mount'),
  started('c/x /srv/wanted2 sheepfs x-systemd.wanted-by', 'srv-wanted2.mount'),
  tied('c/x /srv/am3 sheepfs comment=systemd.automount=1', 'srv-am3.mount'),
  foreign('\ufeffc/x /srv/bom sheepfs', 'srv-bom.mount'),
]

const LONG = 'a'.repeat(5000)
/** What somebody writes who wants more than a mount, and what a disk leaves that lost its power. */
export const HOSTILE_LINES: readonly Line[] = [
  foreign('$(reboot)/x /srv/h1 sheepfs', 'srv-h1.mount'),
  foreign('`reboot`/x /srv/h2 sheepfs', 'srv-h2.mount'),
  foreign('../../etc/x /srv/h3 sheepfs', 'srv-h3.mount'),
  foreign('c;reboot/x /srv/h4 sheepfs', 'srv-h4.mount'),
  foreign('c%n/x /srv/h5 sheepfs', 'srv-h5.mount'),
  foreign(`${'c'.repeat(100)}/x /srv/h6 sheepfs`, 'srv-h6.mount'),
  started('c/x /srv/$(reboot) sheepfs', 'srv-\\x24\\x28reboot\\x29.mount'),
  started('c/x /srv/h7;reboot sheepfs', 'srv-h7\\x3breboot.mount'),
  started('c/x /srv/h8\\012ExecStart=/bin/false sheepfs', 'srv-h8\\x0aExecStart\\x3d-bin-false.mount'),
  started('c/x /srv/%i%%n sheepfs', 'srv-\\x25i\\x25\\x25n.mount'),
  started('c/x /srv/h9 sheepfs `reboot`,$(reboot),*,-e', 'srv-h9.mount'),
  started('c/x /srv/h10\\ sheepfs \\', 'srv-h10\\x5c.mount'),
  started('c/x /srv/h11\u001b[2J sheepfs', 'srv-h11\\x1b\\x5b2J.mount'),
  started('c/x /srv/h12 sheepfs noauto\\012', 'srv-h12.mount'),
  started('c/x /srv/h13 sheepfs no\\\\xauto', 'srv-h13.mount'),
  started('c/x /srv/h14 sheepfs noauto\\', 'srv-h14.mount'),
  started('c/x /srv/h15\\012/srv/h16 sheepfs', 'srv-h15\\x0a-srv-h16.mount'),
  started('c/x /srv/h16 sheepfs', 'srv-h16.mount'),
  started(`c/x /srv/h17 sheepfs x-${LONG},noauto`, 'srv-h17.mount'), // systemd sees the first 4095 bytes
  tied(`c/x /srv/h18 sheepfs noauto,x-${LONG}`, 'srv-h18.mount'),
  ignored(`${' '.repeat(5000)}c/x /srv/h19 sheepfs`),
  ignored(`#${LONG} c/x /srv/h20 sheepfs`),
  started('c/x /srv/h21 sheepfs rw\0,noauto', 'srv-h21.mount'), // a NUL ends the line, and takes the next one with it
  ignored('c/x /srv/h22 sheepfs'),
  ignored('c/x /srv/h23\0x sheepfs'),
  ignored('c/\0x /srv/h24 sheepfs'),
  ignored('c/x /srv/h25 sheepfs'),
  ignored('\0\0\0\0'),
  ignored('c/x /srv/h26 sheepfs'),
  foreign('c/x / sheepfs', '-.mount'), // the service cannot be before what it is on
  ignored('c/x /proc sheepfs'), // of the kernel and of systemd: who stops that stops the host
  ignored('c/x /dev/shm sheepfs'),
  ignored('c/x /run sheepfs'),
  ignored('c/x /sys/fs/cgroup/x sheepfs'),
  foreign(`c/x /${'h'.repeat(248)} sheepfs`, `${'h'.repeat(248)}.mount`), // a folder for drop-ins cannot have this name
  started('c/x /srv/no-newline sheepfs', 'srv-no\\x2dnewline.mount'),
]
