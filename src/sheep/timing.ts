/** How long the client of a cluster waits for what, in milliseconds. Tests shorten all of it. */
export interface Timing {
  /** For TCP to connect, and then for the first answer. */
  readonly connectTimeoutMs: number
  /** For the next address, while one tried as gateway has not answered. */
  readonly headStartMs: number
  /**
   * For a response, before the sheep counts as dead. A gateway may rightly take 30 s (docs/sheepdog-protocol.md#1.10).
   */
  readonly deadlineMs: number
  /** The same when requests may wait less than that: what a sheep that is well may need. */
  readonly shortestDeadlineMs: number
  /** A read that another holder can answer waits this long for one. */
  readonly holderPatienceMs: number
  /** For an answer on a second connection, by which a sheep that does not answer on the first shows that it lives. */
  readonly signOfLifeMs: number
  /** A request without a response for this long is worth telling: the sheep is slow, stopped, or waits for another. */
  readonly silenceMs: number
  /** A sheep that failed is not preferred for this long, doubled with each failure. */
  readonly firstBackoffMs: number
  readonly lastBackoffMs: number
  /** Between tries of a request, doubled with each. */
  readonly firstPauseMs: number
  readonly lastPauseMs: number
  /** Between questions to a lost gateway whether it is done. */
  readonly settlePollMs: number
  /** A lost gateway that does not answer counts as done after this. */
  readonly settleSilentMs: number
  /**
   * One that answers that it is busy, perhaps for others, after this: it may park a request for 30 s
   * (docs/sheepdog-protocol.md#1.10).
   */
  readonly settleBusyMs: number
  /** Between questions to the sheep whether they have recovered. */
  readonly recoveryPollMs: number
  /** Between questions to sheep whose objects are being changed, whether they recover without a new epoch. */
  readonly diskPollMs: number
  /** After this, sheep that cannot be asked count as having recovered. */
  readonly recoveryUnheardMs: number
  /** A sheep that has just recovered an object may do it once more, from an older reading, within this. */
  readonly recoveryOverlapMs: number
  /**
   * Nodes that die together are noticed one after the other. While one is away, and there is no zone to spare, what is
   * erasure-coded waits for this until it is changed.
   */
  readonly zoneCalmMs: number
  /** An object, or the inode of a new VDI, that should be there may be missing for this long: nodes come and go. */
  readonly missingLimitMs: number
  readonly missingPauseMs: number
  /** A discarded object that is still there after this, or four times this when it is ours, stays: something else refers to it. */
  readonly removalLimitMs: number
  readonly removalPauseMs: number
  /** Before the first look whether the sheep have done all that they were given; later ones are rarer. */
  readonly idlePollMs: number
  /** Between looks at the locks that are held. */
  readonly lockPollMs: number
  /** After an outage, which may have lost all locks: those who had one take it again before anybody else takes it. */
  readonly lockGraceMs: number
  /** A gateway that has said that its cache is flushed still uses the last objects of it for a moment. */
  readonly cachePauseMs: number
}

export const DEFAULT_TIMING: Timing = {
  connectTimeoutMs: 5_000,
  headStartMs: 1_000,
  deadlineMs: 60_000,
  shortestDeadlineMs: 5_000,
  holderPatienceMs: 1_000,
  signOfLifeMs: 4_000,
  silenceMs: 5_000,
  firstBackoffMs: 500,
  lastBackoffMs: 30_000,
  firstPauseMs: 50,
  lastPauseMs: 1_000,
  settlePollMs: 100,
  settleSilentMs: 3_000,
  settleBusyMs: 30_000,
  recoveryPollMs: 500,
  diskPollMs: 200,
  recoveryUnheardMs: 60_000,
  recoveryOverlapMs: 2_000,
  zoneCalmMs: 10_000,
  missingLimitMs: 15_000,
  missingPauseMs: 200,
  removalLimitMs: 30_000,
  removalPauseMs: 20,
  idlePollMs: 500,
  lockPollMs: 30_000,
  lockGraceMs: 3_000,
  cachePauseMs: 500,
}
