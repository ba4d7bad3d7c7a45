import { setTimeout as sleep } from 'node:timers/promises'
import { SheepfsError } from '../errors.ts'
import { ActivityWatch, type Activity, type MountActivity, type VolumeActivity } from './activity.ts'
import { EXIT } from './exit-code.ts'
import type { Command } from './sheepfsctl-command.ts'
import { tableText } from './table.ts'

const DEFAULT_INTERVAL_S = 1
const INTERVAL_S = { least: 0.1, most: 3600 } as const
/** Between looks that find what was found already: it is shared with other observers. */
const AGAIN_MS = 100
const MOST_AGAIN = 30

/** What goes on in mounts and volumes. */
export const TOP_COMMAND: Command = {
  name: 'top',
  arguments: '',
  summary: 'what goes on in mounts and volumes, until interrupted',
  options: [
    ['--once', 'print it once, of one interval'],
    ['--interval SECONDS', `how long it looks each time (default: ${DEFAULT_INTERVAL_S})`],
  ],
  watches: true,
  run: async (call) => {
    const intervalMs = intervalOf(call.text('interval')) * 1000
    const watch = new ActivityWatch()
    const look = async (): Promise<readonly MountActivity[]> => call.chosen(watch.look(await call.client.counters()))
    await look()
    for (;;) {
      await sleep(intervalMs)
      let mounts = await look()
      for (let again = 0; again < MOST_AGAIN && mounts.some(isTooEarly); again++) {
        await sleep(AGAIN_MS)
        mounts = await look()
      }
      const time = new Date().toISOString()
      if (call.flag('once')) {
        call.print({ time, mounts }, () => activityText(time, mounts))
        return EXIT.done
      }
      call.show({ time, mounts }, () => activityText(time, mounts))
    }
  },
}

/** Errors: invalid. */
function intervalOf(text: string | undefined): number {
  const seconds = text === undefined ? DEFAULT_INTERVAL_S : Number(text)
  if (text?.trim() !== '' && seconds >= INTERVAL_S.least && seconds <= INTERVAL_S.most) return seconds
  const expected = `expected ${INTERVAL_S.least} to ${INTERVAL_S.most} seconds`
  throw new SheepfsError('invalid', `--interval "${text ?? ''}": ${expected}`)
}

/** Its worker has answered once, so that there is nothing to compare with yet. */
function isTooEarly({ seconds, state }: MountActivity): boolean {
  return seconds === null && state === 'serving'
}

const COLUMNS = [
  'MOUNT',
  'STATE',
  { number: 'READ/s' },
  { number: 'WRITE/s' },
  { number: 'READ MB/s' },
  { number: 'WRITE MB/s' },
  { number: 'P50' },
  { number: 'P99' },
  { number: 'IN FLIGHT' },
  { number: 'WAITING' },
  'CACHE',
]

function activityText(time: string, mounts: readonly MountActivity[]): string {
  const rows = mounts.flatMap((mount) => [
    [mount.name, mount.state, ...activityCells(mount), mountCacheText(mount)],
    ...mount.volumes.map((volume) => [
      `  ${volume.volume}`,
      volume.stale ? 'stale' : '',
      ...activityCells(volume),
      volumeCacheText(volume),
    ]),
  ])
  return `${time}\n${tableText(COLUMNS, rows)}`
}

function activityCells({ seconds, read, write, latency_p50, latency_p99, in_flight, waiting }: Activity): string[] {
  const rates =
    seconds === null
      ? ['-', '-', '-', '-']
      : [
          read.per_second.toFixed(0),
          write.per_second.toFixed(0),
          (read.bytes_per_second / 1e6).toFixed(1),
          (write.bytes_per_second / 1e6).toFixed(1),
        ]
  return [...rates, latencyText(latency_p50), latencyText(latency_p99), String(in_flight), String(waiting)]
}

/** As `180us`, `2.5ms`, `30s`. */
function latencyText(seconds: number | null): string {
  if (seconds === null) return '-'
  const [value, unit] = seconds < 0.001 ? [seconds * 1e6, 'us'] : seconds < 1 ? [seconds * 1e3, 'ms'] : [seconds, 's']
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)}${unit}`
}

function mountCacheText({ page_cache, object_cache, write_back }: MountActivity): string {
  const page = page_cache ? [write_back ? 'write-back' : 'page'] : []
  const all = [...page, ...(object_cache ? ['object'] : [])]
  return all.length === 0 ? 'off' : all.join('+')
}

/** Each open file keeps the mode that it was opened in. */
function volumeCacheText({ open_direct, open_cached }: VolumeActivity): string {
  if (open_direct + open_cached === 0) return '-'
  return [open_direct > 0 ? 'direct' : '', open_cached > 0 ? 'cached' : ''].filter(Boolean).join('+')
}
