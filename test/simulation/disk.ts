import type { Strip } from './erasure-code.ts'

/** What a sheep has on its disks, and keeps while it does not run. A replica is the only strip of its object: place 0. */
export class Disk {
  /** Objects of the present epoch. */
  readonly objects = new Map<number, Strip>()
  /** Objects of an earlier epoch, which others may still fetch as those of that epoch. */
  readonly stale = new Map<number, { readonly epoch: number; readonly strip: Strip }>()

  /** As it was in an earlier epoch. */
  findStale(key: number, epoch: number): Strip | undefined {
    const stale = this.stale.get(key)
    return stale?.epoch === epoch ? stale.strip : undefined
  }

  setAside(key: number, epoch: number): void {
    const strip = this.objects.get(key)
    if (!strip) return
    this.objects.delete(key)
    this.stale.set(key, { epoch, strip })
  }

  clear(): void {
    this.objects.clear()
    this.stale.clear()
  }
}
