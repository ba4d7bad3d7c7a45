import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { succeed } from '../../e2e/stage/program.ts'
import { Cluster } from './cluster.ts'
import { Machine } from './machine.ts'
import { buildPackage, provideNode } from './package.ts'

/** Its name tells the loop devices of this machine from those of others, which are to be seen in it as well. */
export const TREE = `/srv/tree-${randomBytes(4).toString('hex')}`
export const CONFIG = `sheep = ["127.0.0.1:7000"]
socket_group = "sheepfs-admin"

[[mount]]
mountpoint = "${TREE}"
`

/** One machine and its cluster, for all suites: what the next one finds there is what the one before has left. */
export class Site {
  #parts: { readonly machine: Machine; readonly cluster: Cluster; readonly deb: string } | undefined

  /** A booted machine whose package manager may install the package; instance cluster1 is configured. */
  async setUp(): Promise<void> {
    const [deb, machine] = await Promise.all([buildPackage('sheepfs'), Machine.create()])
    this.#parts = { machine, cluster: new Cluster(machine), deb }
    await machine.copy(deb, `/var/tmp/${basename(deb)}`)
    await machine.write('/etc/sheepfs/cluster1.toml', CONFIG)
    await this.directories(TREE)
    await machine.boot()
    await provideNode(machine)
    await this.cluster.start()
  }

  /** Everything goes, also when `setUp` failed on its way. */
  async destroy(): Promise<void> {
    await this.#parts?.machine.destroy()
  }

  get machine(): Machine {
    return this.#all.machine
  }

  get cluster(): Cluster {
    return this.#all.cluster
  }

  /** The package, on this machine; in `/var/tmp` of the other. */
  get deb(): string {
    return this.#all.deb
  }

  /** Builds the package that brings its own Node.js, and resolves with its name in `/var/tmp` of the machine. */
  async placeBundled(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'sheepfs-bundled-'))
    const deb = await buildPackage('sheepfs-bundled', folder)
    await this.machine.copy(deb, `/var/tmp/${basename(deb)}`)
    await rm(folder, { recursive: true })
    return basename(deb)
  }

  /** Runs a shell command in the machine, which must succeed, and resolves with what it printed. */
  sh(command: string): Promise<string> {
    return this.machine.sh(command)
  }

  /** Makes mountpoints, and lines of fstab for them. */
  async directories(...paths: readonly string[]): Promise<void> {
    for (const path of paths) await succeed('mkdir', ['-p', this.machine.path(path)])
  }

  /** Makes a VDI with a file system in it, which nobody uses. */
  async makeFileSystem(vdi: string, size = '64M'): Promise<void> {
    await this.sh(`sheepfsctl vdi create ${vdi} ${size} && echo ${vdi} >${TREE}/vdi/mount`)
    await this.sh(`mkfs.ext4 -q ${TREE}/volume/${vdi} && echo ${vdi} >${TREE}/vdi/unmount`)
  }

  /** What mounts of volumes have left: loop devices over volumes, and attachments. */
  async leftovers(): Promise<string> {
    const loops = `losetup --list --noheadings --output NAME,BACK-FILE | grep ${TREE} || true`
    return this.sh(`${loops}; sheepfsctl volumes --json | tr -d '[]\\n'`)
  }

  get #all(): { readonly machine: Machine; readonly cluster: Cluster; readonly deb: string } {
    if (!this.#parts) throw new Error('the machine is not set up')
    return this.#parts
  }
}
