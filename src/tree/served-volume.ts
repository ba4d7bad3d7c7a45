import type { Volume } from '../volume/volume.ts'

/** What the tree needs of a volume. */
export type ServedVolume = Pick<
  Volume,
  | 'size'
  | 'objectSize'
  | 'isReadOnly'
  | 'identity'
  | 'hasOtherWriters'
  | 'allocatedBytes'
  | 'fixedMs'
  | 'read'
  | 'write'
  | 'sync'
  | 'zero'
  | 'seek'
  | 'grow'
  | 'refresh'
  | 'close'
>
