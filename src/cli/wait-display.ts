import type { ControlClient } from '../api/client.ts'

const PAUSE_MS = 1000

/** Shows that a command waits, for how long and for what, until the returned function is called. */
export function showWait(client: ControlClient, show: (text: string) => void): () => void {
  const since = performance.now()
  let isOver = false
  const look = async (): Promise<void> => {
    const mounts = await client.mounts().catch(() => [])
    const waiting = mounts.find(({ state, reason }) => state !== 'serving' && reason !== null)
    const seconds = Math.round((performance.now() - since) / 1000)
    if (waiting && !isOver) show(`waiting for ${seconds} s, mount ${waiting.name}: ${waiting.reason ?? ''}`)
  }
  const timer = setInterval(() => void look(), PAUSE_MS)
  return () => {
    isOver = true
    clearInterval(timer)
  }
}
