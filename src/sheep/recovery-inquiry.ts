import { parseRecoveryState, statRecovery, type RecoveryState } from '../wire/info-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import type { ClientContext } from './client-context.ts'
import type { ClusterWatch } from './cluster-watch.ts'
import type { Connection } from './connection.ts'

export interface InquiryOptions extends Pick<ClientContext, 'known'> {
  readonly watch: Pick<ClusterWatch, 'notice' | 'noticeRecovery'>
}

/** What a sheep has said. */
interface Heard extends RecoveryState {
  readonly epoch: number
}

/** Asks one sheep whether it recovers, one question at a time, and tells the watch. */
export class RecoveryInquiry {
  readonly #options: InquiryOptions
  #heard: Heard | undefined
  #underWay: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(options: InquiryOptions) {
    this.#options = options
  }

  /** Resolves when the question is answered that is under way, if one is. */
  get underWay(): Promise<void> | undefined {
    return this.#underWay
  }

  /** Resolves when a question that is sent from now on is answered, or the connection is lost. */
  ask(connection: Connection): Promise<void> {
    if (!this.#underWay) {
      this.#underWay = this.#send(connection).finally(() => {
        this.#underWay = undefined
      })
      return this.#underWay
    }
    this.#next ??= this.#underWay.then(() => {
      this.#next = undefined
      return this.ask(connection)
    })
    return this.#next
  }

  async #send(connection: Connection): Promise<void> {
    const { known, watch } = this.#options
    try {
      const { result, epoch, payload } = await connection.exchange(statRecovery(known.protoVer))
      watch.notice(epoch)
      if (result !== Result.SUCCESS) return
      const heard = { epoch, ...parseRecoveryState(payload) }
      const isAnother = isAnotherThan(heard, this.#heard)
      this.#heard = heard
      if (heard.phase !== 'none') watch.noticeRecovery(epoch, { isAnother })
    } catch {
      // of a sheep that is lost, the epoch tells
    }
  }
}

/** Whether what a sheep recovers now has begun after it was heard before, and in the same epoch. */
function isAnotherThan(now: Heard, before: Heard | undefined): boolean {
  if (before?.epoch !== now.epoch) return false
  const { phase, finished, total } = before
  if (phase !== 'fetching') return phase === 'none'
  return now.phase === 'listing' || now.total !== total || now.finished < finished
}
