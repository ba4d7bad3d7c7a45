import assert from 'node:assert/strict'
import { run } from '../../e2e/stage/program.ts'

interface VerifyLoad {
  readonly size: number
  readonly seconds: number
  /** How many jobs write, each to a part of its own. */
  readonly jobs?: number
}

const CHECK = [
  '--verify=crc32c',
  '--verify_backlog=512',
  '--verify_fatal=1',
  '--verify_state_save=0',
  '--verify_dump=0',
]

/** fio writes a file at random and verifies it. Resolves with what it says of its writes. Errors: any of I/O, any wrong block. */
export async function verifyWithFio(file: string, { size, seconds, jobs = 1 }: VerifyLoad): Promise<string> {
  const part = size / jobs
  const parts = [`--size=${part}`, `--numjobs=${jobs}`, `--offset_increment=${part}`, '--group_reporting']
  const how = ['--direct=1', '--ioengine=libaio', '--iodepth=16', '--rw=randwrite', '--bs=4k']
  const time = ['--time_based', `--runtime=${seconds}`]
  const limitMs = 1000 * seconds + 600_000
  const { status, stdout, stderr } = await run(
    'fio',
    ['--name=verify', `--filename=${file}`, ...parts, ...how, ...time, ...CHECK],
    { limitMs },
  )
  assert.equal(status, 0, `${stdout}${stderr}`)
  return /write: .*/.exec(stdout)?.[0] ?? ''
}
