/**
 * As Promise.all, but waits until all have ended before it rejects with the first failure: memory that they share is used
 * by none of them any more when this ends.
 */
export async function allEnded<T>(work: readonly Promise<T>[]): Promise<T[]> {
  if (work.length > 1) await Promise.allSettled(work)
  return Promise.all(work)
}
