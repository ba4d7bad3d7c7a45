import type { Attachments } from './attachments.ts'
import { FixedId } from './node-ids.ts'
import type { Attributes, Directory, Entry, Node } from './node.ts'
import { plainAttributes, type Owner } from './owner.ts'

const DIRECTORY_MODE = 0o755

/** `volume/`: a file for every attached volume. */
export class VolumeDirectory implements Directory {
  readonly kind = 'directory'
  readonly id = FixedId.volume
  readonly parent: Directory
  readonly #attachments: Attachments
  readonly #owner: Owner

  constructor(parent: Directory, options: { readonly attachments: Attachments; readonly owner: Owner }) {
    this.parent = parent
    this.#attachments = options.attachments
    this.#owner = options.owner
  }

  lookup(name: string): Node | undefined {
    return this.#attachments.find(name)
  }

  entries(): readonly Entry[] {
    return this.#attachments.list().map((file) => ({ name: file.name, node: file }))
  }

  attributes(): Promise<Attributes> {
    const modifiedMs = this.#attachments.changedMs
    return Promise.resolve(plainAttributes(this.#owner, { size: 0, mode: DIRECTORY_MODE, modifiedMs }))
  }
}
