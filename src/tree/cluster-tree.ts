import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Waiter } from '../sheep/waiter.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'
import { Attachments, type AttachmentEvent, type HowToOpen } from './attachments.ts'
import { Caches, type CacheOptions } from './caches.ts'
import type { ClusterFacts } from './cluster-facts.ts'
import { ClusterSpace } from './cluster-space.ts'
import { FixedDirectory } from './fixed-directory.ts'
import { addClusterFiles, addConfigFiles, addVdiControls } from './fixed-files.ts'
import { FixedId, NodeIds } from './node-ids.ts'
import type { Directory, Node, Space, Tree, TreeChange } from './node.ts'
import { openNamed } from './open-volume.ts'
import type { Owner } from './owner.ts'
import type { ServedVolume } from './served-volume.ts'
import { SizePoll } from './size-poll.ts'
import { VolumeDirectory } from './volume-directory.ts'

export interface ClusterTreeOptions {
  readonly clock: Clock
  readonly facts: ClusterFacts
  /** Errors: not-found, locked, not-supported, what the cluster answers. */
  readonly openVolume: (spec: VdiSpec, how: HowToOpen, waiter: Waiter) => Promise<ServedVolume>
  readonly owner: Owner
  /** Of what is written to switch the mount, or to attach any VDI of the cluster. Default: `owner`. */
  readonly controlOwner?: Owner
  /** Permission bits of volume files. Default 0600. */
  readonly volumeMode?: number
  readonly cache: CacheOptions
  /** Where a predecessor had come to. */
  readonly ids?: NodeIds
  /** Told what is attached and detached, once each. */
  readonly onAttachment?: (event: AttachmentEvent) => void
  readonly log: Logger
}

const VOLUME_MODE = 0o600

/** The files of one mount: what a cluster tells, its switches, and the volumes attached. */
export class ClusterTree implements Tree {
  readonly root: Directory
  readonly attachments: Attachments
  readonly caches: Caches
  readonly ids: NodeIds
  readonly #space: ClusterSpace
  readonly #sizePoll: SizePoll
  readonly #log: Logger
  readonly #fixed = new Map<number, Node>()
  readonly #listeners = new Set<(change: TreeChange) => void>()

  constructor(options: ClusterTreeOptions) {
    const { clock, facts, owner, log } = options
    this.#log = log
    this.#space = new ClusterSpace(facts, clock)
    this.ids = options.ids ?? new NodeIds()
    this.caches = new Caches(facts, options.cache)
    this.attachments = new Attachments({
      open: (name, how, waiter) => openNamed(name, (spec) => options.openVolume(spec, how, waiter)),
      ids: this.ids,
      file: {
        clock,
        owner,
        caching: () => (this.caches.pageCache ? 'cached' : 'direct'),
        mode: options.volumeMode ?? VOLUME_MODE,
      },
      announce: (change) => {
        this.#announce(change)
      },
      tell: options.onAttachment ?? (() => undefined),
      log,
    })
    this.#sizePoll = new SizePoll(this.attachments, { clock, log })
    this.root = this.#build(options)
    this.#index(this.root)
  }

  node(id: number): Node | undefined {
    return this.#fixed.get(id) ?? this.attachments.node(id)
  }

  /** Begins to look for what others do to the attached volumes. Idempotent. */
  start(): void {
    this.#sizePoll.start()
  }

  /** For when nothing is mounted any more: closes the volumes. Idempotent. Errors: what the last writes fail with. */
  async close(): Promise<void> {
    this.#sizePoll.stop()
    await this.attachments.close()
  }

  handOver(): void {
    this.attachments.handOver()
  }

  space(): Promise<Space> {
    return this.#space.space()
  }

  watch(listener: (change: TreeChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #build({ clock, facts, owner, controlOwner = owner, log }: ClusterTreeOptions): Directory {
    const root = new FixedDirectory(FixedId.root, { clock, owner })
    const directory = (name: 'cluster' | 'node' | 'vdi' | 'config'): FixedDirectory => {
      const made = new FixedDirectory(FixedId[name], { clock, parent: root, owner })
      root.add(name, made)
      return made
    }
    const vdi = directory('vdi')
    addClusterFiles({ cluster: directory('cluster'), node: directory('node'), vdi }, { clock, facts, owner })
    const controls = { clock, owner: controlOwner, log }
    addVdiControls(vdi, { ...controls, attachments: this.attachments })
    addConfigFiles(directory('config'), { ...controls, facts, caches: this.caches })
    root.add('volume', new VolumeDirectory(root, { attachments: this.attachments, owner }))
    return root
  }

  #index(directory: Directory): void {
    this.#fixed.set(directory.id, directory)
    for (const { node } of directory.entries()) {
      if (node.kind === 'directory') this.#index(node)
      else this.#fixed.set(node.id, node)
    }
  }

  /** One listener that fails must not keep the others from knowing, nor undo what has happened. */
  #announce(change: TreeChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (error) {
        this.#log.error({ err: error, change }, 'a change of the tree could not be told to the kernel')
      }
    }
  }
}
