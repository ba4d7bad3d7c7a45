import { toWireError } from '../wire-error.ts'
import { runSheepfs, type BackgroundReport, type SheepfsRequest } from './sheepfs-process.ts'

/** Who started this process waits for one report, then goes. */
function report(message: BackgroundReport): void {
  if (!process.connected) return
  process.send?.(message, () => {
    process.disconnect()
  })
}

try {
  await runSheepfs(JSON.parse(process.argv[2] ?? '') as SheepfsRequest, () => {
    report({ kind: 'serving' })
  })
} catch (error) {
  process.exitCode = 1
  report({ kind: 'failed', error: toWireError(error) })
}
