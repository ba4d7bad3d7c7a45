import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isJournal, withPriority } from '../src/journal.ts'
import { logText } from '../src/log-text.ts'

const limit = { timeout: 60_000 }

const PROGRAM = `
const { createLogger } = await import('./dist/src/log.js')
const { SheepfsError } = await import('./dist/src/errors.js')
const log = createLogger({ name: 'sheepfsd', level: 'debug' }).child({ mount: 'web' })
log.debug('asked')
log.info({ mounts: 2, reason: 'a b' }, 'ready')
log.warn('first\\nsecond')
log.error({ err: new SheepfsError('io', 'no answer') }, 'not told')
log.fatal({ err: new TypeError('a defect') }, 'failed')
`

/** What the program logs into a file that is the journal to it, or not. */
function logged(t: TestContext, { isJournal, format }: { isJournal: boolean; format?: string }): string {
  const directory = mkdtempSync(join(tmpdir(), 'log-'))
  t.after(() => {
    rmSync(directory, { recursive: true })
  })
  const path = join(directory, 'stderr')
  const fd = openSync(path, 'w')
  const { dev, ino } = fstatSync(fd)
  const env = {
    PATH: process.env['PATH'],
    JOURNAL_STREAM: isJournal ? `${dev}:${ino}` : `${dev}:${ino + 1}`,
    ...(format !== undefined && { SHEEPFS_LOG_FORMAT: format }),
  }
  const args = ['--input-type=module', '--eval', PROGRAM]
  const { status } = spawnSync(process.execPath, args, { env, stdio: ['ignore', 'ignore', fd], timeout: 50_000 })
  closeSync(fd)
  const text = readFileSync(path, 'utf8')
  assert.equal(status, 0, text)
  return text
}

test('the journal gets readable lines, each with its priority', limit, (t) => {
  const lines = logged(t, { isJournal: true }).split('\n')
  assert.deepEqual(lines.slice(0, 6), [
    '<7>mount web: asked',
    '<6>mount web: ready mounts=2 reason="a b"',
    '<4>mount web: first',
    '<4>second',
    '<3>mount web: not told: no answer',
    '<2>mount web: failed: a defect',
  ])
  assert.match(lines[6] ?? '', /^<2> {4}at /) // a defect has its stack
  assert.equal(lines.at(-1), '')
})

test('JSON in the journal has priorities too', limit, (t) => {
  const [, ready = ''] = logged(t, { isJournal: true, format: 'json' }).split('\n')
  assert.match(ready, /^<6>\{"level":"info","time":"\d{4}-\d\d-\d\dT[\d:.]+Z","pid":\d+,.*"msg":"ready"\}$/)
})

test('a file that is not the journal gets JSON, or text that says when', limit, (t) => {
  const [first = ''] = logged(t, { isJournal: false }).split('\n')
  assert.equal((JSON.parse(first) as { msg: string }).msg, 'asked')
  const [, ready = ''] = logged(t, { isJournal: false, format: 'text' }).split('\n')
  assert.match(ready, /^\d{4}-\d\d-\d\dT[\d:.]+Z INFO {2}sheepfsd\[\d+\]: mount web: ready mounts=2 reason="a b"$/)
})

test('a line of the log does nothing to a terminal', () => {
  const line = JSON.stringify({ level: 'info', msg: 'volume \u001b[2J', name: 'a\tb', vdi: '\u0007' })
  assert.equal(logText(line, { hasHead: false }), 'volume \\u001b[2J vdi="\\u0007"\n')
})

test('only the stream that systemd has named is its journal', () => {
  const { dev, ino } = fstatSync(0)
  assert.equal(isJournal(0, `${dev}:${ino}`), true)
  assert.equal(isJournal(0, `${dev}:${ino + 1}`), false)
  assert.equal(isJournal(0, undefined), false)
  assert.equal(isJournal(1000, `${dev}:${ino}`), false)
  assert.equal(withPriority('a\n\nb\n', 3), '<3>a\n<3>\n<3>b\n')
})

for (const program of ['sheepfs', 'sheepfsctl', 'sheepfsd', 'mount-sheepfs', 'umount-sheepfs']) {
  test(`what ${program} complains of is an error in the journal`, limit, (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'log-'))
    t.after(() => {
      rmSync(directory, { recursive: true })
    })
    const fd = openSync(join(directory, 'stderr'), 'w')
    const { dev, ino } = fstatSync(fd)
    const env = { PATH: process.env['PATH'], JOURNAL_STREAM: `${dev}:${ino}` }
    const { status } = spawnSync(process.execPath, [`dist/src/cli/${program}.js`, '--nosuch'], {
      ...{ env, timeout: 50_000 },
      stdio: ['ignore', 'ignore', fd],
    })
    closeSync(fd)
    assert.notEqual(status, 0)
    assert.match(readFileSync(join(directory, 'stderr'), 'utf8'), /^<3>[a-z.]+: .*\n$/)
  })
}
