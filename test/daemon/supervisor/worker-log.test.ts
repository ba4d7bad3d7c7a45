import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { pino } from 'pino'
import { WorkerLog } from '../../../src/daemon/supervisor/worker-log.ts'

interface Entry {
  readonly level: string
  readonly mount: string
  readonly worker: number
  readonly msg: string
  readonly err?: object
  readonly stack?: string
}

/** What the supervisor logs when a worker has written this, in pieces of `width` bytes. */
async function logged(text: string | Buffer, width = 1e6): Promise<Entry[]> {
  const entries: Entry[] = []
  const formatters = { level: (label: string) => ({ level: label }) }
  const log = pino(
    { level: 'trace', base: null, timestamp: false, formatters },
    { write: (line: string) => entries.push(JSON.parse(line) as Entry) },
  )
  const stderr = new PassThrough()
  new WorkerLog(7, log.child({ mount: 'web' })).read(stderr)
  const closed = once(stderr, 'close')
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += width) stderr.write(bytes.subarray(at, at + width))
  stderr.end()
  await closed
  return entries
}

const KNOWN = { mount: 'web', worker: 7 }

describe('the log of a worker', () => {
  test('is that of its supervisor, with the mount and the process that the supervisor knows', async () => {
    const record = { level: 'error', time: 'x', pid: 1, hostname: 'h', name: 'n', mount: 'other', worker: 1 }
    const text = JSON.stringify({ ...record, volume: 'db', count: 2, msg: 'it is stale' })
    for (const width of [1, 7, 1000])
      assert.deepEqual(await logged(`${text}\n${text}\n`, width), [
        { level: 'error', ...KNOWN, volume: 'db', count: 2, msg: 'it is stale' },
        { level: 'error', ...KNOWN, volume: 'db', count: 2, msg: 'it is stale' },
      ])
  })

  test('has what others write there too', async () => {
    assert.deepEqual(await logged('FATAL ERROR: heap\n\n{"level":"silent"}\nnull\nno newline'), [
      { level: 'warn', ...KNOWN, msg: 'FATAL ERROR: heap' },
      { level: 'warn', ...KNOWN, msg: '{"level":"silent"}' },
      { level: 'warn', ...KNOWN, msg: 'null' },
      { level: 'warn', ...KNOWN, msg: 'no newline' },
    ])
  })

  test('keeps an error, and the stack of a defect on its line', async () => {
    const stack = 'TypeError: no\n    at a (b.ts:1:2)\n    at c\n<3>sheepfsd: forged'
    const defect = { level: 'error', msg: 'm', err: { type: 'TypeError', message: 'no', stack } }
    const known = { ...defect, err: { ...defect.err, type: 'SheepfsError' } }
    assert.deepEqual(await logged([defect, known].map((record) => `${JSON.stringify(record)}\n`).join('')), [
      { ...KNOWN, ...defect, err: { type: 'TypeError', message: 'no' }, stack: 'at a (b.ts:1:2), at c' },
      { ...KNOWN, ...known, err: { type: 'SheepfsError', message: 'no' } },
    ])
  })

  test('is one line of plain text each, whatever is written', async () => {
    const evil = 'a\nMAINPID=1\r\u001b[2J\u009b1m\u202eb'
    const record = { level: 'info', msg: evil, text: evil, deep: { evil: [evil] }, [evil]: 1, __proto__: { x: 1 } }
    const [entry, text] = await logged(`${JSON.stringify(record)}\n\u001b[2J\r<0>x\u202e\n`)
    assert.equal(entry?.msg, 'a MAINPID=1 [2J 1m b')
    assert.deepEqual(Object.keys(entry), ['level', 'mount', 'worker', 'text', 'deep', 'msg'])
    assert.doesNotMatch(Object.values(entry).join(''), /[\p{Cc}\u202e]/u)
    assert.equal(text?.msg, ' [2J <0>x ')
  })

  test('has bounds for a line, its fields, and how many there are', async () => {
    const [long] = await logged(`${'x'.repeat(1e6)}\n`, 1000)
    assert.equal(long?.msg.length, 1000)
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`k${at}`, 'v']))
    const [entry] = await logged(JSON.stringify({ level: 'info', ...many }))
    assert.equal(Object.keys(entry ?? {}).length, 20 + 4)
    const lines = await logged('x\n'.repeat(5000))
    assert.equal(lines.length, 1001)
    assert.deepEqual(lines.at(-1), {
      ...{ level: 'warn', ...KNOWN, lines: 4000, msg: 'the worker logs too much: lines are left out' },
    })
  })
})
