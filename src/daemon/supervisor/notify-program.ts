import { runToEnd } from '../../fuse/run-to-end.ts'
import type { Logger } from '../../log.ts'

const SYSTEMD_NOTIFY_LIMIT_MS = 10_000

/**
 * Sends states of sd_notify(3), lines of KEY=VALUE, through systemd-notify(1), one after the other. It speaks in the name of
 * the process that calls it, for which it needs root.
 */
export function notifyProgram(log: Logger): (state: string) => void {
  let sent = Promise.resolve()
  return (state) => {
    sent = sent.then(async () => {
      try {
        await runToEnd('systemd-notify', state.trim().split('\n'), SYSTEMD_NOTIFY_LIMIT_MS)
      } catch (error) {
        log.error({ err: error, state }, 'systemd could not be told')
      }
    })
  }
}
