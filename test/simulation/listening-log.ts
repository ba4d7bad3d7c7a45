import { pino } from 'pino'
import type { Logger } from '../../src/log.ts'

/** Writes nothing. `onBreach`: told of a sheep that is said to have broken the protocol, which none of ours does. */
export function listeningLog(onBreach: (text: string) => void): Logger {
  return pino({
    level: 'warn',
    hooks: {
      logMethod: ([fields, text]: unknown[]) => {
        if ((fields as { code?: unknown }).code === 'protocol') onBreach(String(text))
      },
    },
  })
}
