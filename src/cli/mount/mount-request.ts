import type { MountArguments } from './mount-arguments.ts'
import type { MountOptions } from './mount-options.ts'
import type { UndoList } from './undo-list.ts'

/** What one call of mount.sheepfs is about, whatever its source is. */
export interface MountRequest {
  readonly args: MountArguments
  readonly options: MountOptions
  /** The mountpoint, absolute and without symbolic links. */
  readonly directory: string
  /** Aborts when the administrator or systemd interrupts. */
  readonly signal: AbortSignal
  /** For what is to be taken back when mounting fails. */
  readonly undo: UndoList
  /** Tells of a step, with -v. */
  readonly tell: (step: string) => void
}
