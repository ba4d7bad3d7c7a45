/** Pauses before the next worker, by how many died soon after their start; the last one holds from there on. */
const LAST_PAUSE_MS = 30_000
const PAUSES_MS = [0, 0, 500, 1000, 2000, 5000, 10_000, LAST_PAUSE_MS] as const
/** So many workers that died young are bad luck; more are a mount that has failed. */
const FEW_DEATHS = 3
/** A worker that lived this long counts as one that works. */
const STABLE_MS = 3000

/** When a mount whose worker died gets another one. */
export class RestartPolicy {
  #earlyDeaths = 0

  /** Before another try, when a worker could not even be started. */
  readonly longestPauseMs = LAST_PAUSE_MS

  /** One worker after the other has died: it will not get better soon. */
  get isHopeless(): boolean {
    return this.#earlyDeaths > FEW_DEATHS
  }

  /** Before the next worker. */
  get pauseMs(): number {
    return PAUSES_MS[Math.min(this.#earlyDeaths, PAUSES_MS.length - 1)] ?? LAST_PAUSE_MS
  }

  /** A worker has died that lived so long. */
  noteDeath(livedMs: number): void {
    this.#earlyDeaths = livedMs >= STABLE_MS ? 0 : this.#earlyDeaths + 1
  }

  /** A worker ends on purpose: what was before counts no more. */
  forget(): void {
    this.#earlyDeaths = 0
  }
}
