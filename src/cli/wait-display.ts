import type { ControlClient } from '../api/client.ts'

const PAUSE_MS = 1000
/** What is done sooner needs no progress. */
const SHORT_S = 2

/**
 * Shows how long a command takes, and for what it waits, until the returned function is called.
 * @param doing what it does by now
 */
export function showWait(
  client: Pick<ControlClient, 'mounts'>,
  doing: () => string,
  show: (text: string) => void,
): () => void {
  let seconds = 0
  let isOver = false
  const look = async (): Promise<void> => {
    seconds += PAUSE_MS / 1000
    const after = seconds
    if (after >= SHORT_S) show(`${doing()}, ${after} s`)
    const mounts = await client.mounts().catch(() => [])
    const waiting = mounts.find(({ state, reason }) => state !== 'serving' && reason !== null)
    if (waiting && !isOver) show(`waiting for ${after} s, mount ${waiting.name}: ${waiting.reason ?? ''}`)
  }
  const timer = setInterval(() => void look(), PAUSE_MS)
  return () => {
    isOver = true
    clearInterval(timer)
  }
}
