import { basename } from 'node:path'
import { SheepfsError, errorText } from '../../errors.ts'
import type { LoopDevice } from '../../daemon/device/loop-device.ts'
import { runOnImage } from '../../daemon/device/image-program.ts'
import { oneLine, runSystemProgram } from '../../daemon/system/system-program.ts'

/** The kernel's clock of its messages and this process's may differ by so much. */
const CLOCK_SLACK_S = 0.05
const TOLD_LINES = 3

/** Seconds of the clock that messages of the kernel have. */
export function kernelNow(): number {
  return Number(process.hrtime.bigint()) / 1e9
}

/**
 * Why the file system on a loop device could not be mounted, in words that are still true when the device is gone. What
 * mount(8) calls "wrong fs type, bad option, …" is told apart: by a look for a file system, and by what the kernel has said
 * since then.
 * @param sinceS of `kernelNow`, before mount(8) was run
 */
export async function mountFailure(
  cause: SheepfsError,
  { loop, source, sinceS }: { readonly loop: LoopDevice; readonly source: string; readonly sinceS: number },
): Promise<SheepfsError> {
  const said = errorText(cause)
    .replace(/^mount: \S+: /, '')
    .replaceAll(loop.path, source)
  const why = said.startsWith('wrong fs type') ? await reason(loop, sinceS) : undefined
  return new SheepfsError('io', `the file system in ${source} cannot be mounted: ${why ?? said}`, { cause })
}

async function reason(loop: LoopDevice, sinceS: number): Promise<string | undefined> {
  // status 2: nothing is known there
  const probe = ['--probe', '--match-tag', 'TYPE', '--output', 'value', loop.path]
  const found = await runOnImage('blkid', probe).catch(() => '')
  if (found.trim() === '') return 'no file system found: make one with mkfs, or name the partition that has it'
  const lines = kernelLines(await runSystemProgram('dmesg', []).catch(() => ''), basename(loop.path), sinceS)
  if (lines.length === 0) return undefined
  const hint = lines.some((line) => line.includes('duplicate UUID')) ? DUPLICATE : ''
  return oneLine(lines.join('; ')) + hint
}

const DUPLICATE = ' (a snapshot beside its origin: mount it with the option nouuid)'

/** What the kernel has said of a device, or of a parameter, without its name: that is another one the next time. */
export function kernelLines(log: string, device: string, sinceS: number): string[] {
  const lines = log.split('\n').flatMap((line) => {
    const [, time, text = ''] = /^\[ *(\d+\.\d+)\] (.*)$/.exec(line) ?? []
    const isOurs = text.includes(`(${device})`) || text.includes(`device ${device})`) || isOfOption(text)
    return isOurs && Number(time) >= sinceS - CLOCK_SLACK_S ? [text] : []
  })
  const plain = lines.map((text) => text.replace(` (${device})`, '').replace(` (device ${device})`, ''))
  return [...new Set(plain)].slice(-TOLD_LINES)
}

function isOfOption(text: string): boolean {
  return /^\S+: (?:Unknown parameter|Bad value|Unrecognized mount option|unknown mount option) /.test(text)
}
