/**
 * Waits until all have ended, well or not; then rejects with the first failure. Memory that they share is used by none of
 * them any more when this settles.
 */
export async function settleAll(work: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}
