/*
 * Floods of the sockets, each on and off in turns, while a volume is read: what is left of its speed. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { FLOODS } from '../adversary/flood.ts'
import { startLamb } from '../e2e/stage/sheep.ts'
import { startSheepfsd, tableOf, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'

const CONNECTIONS = 300
const TURNS = 20
const TURN_MS = 500
/** After a change. */
const REST_MS = 100
const PROBE_PAUSE_MS = 100
const VOLUME_SIZE = 2 ** 26
const LEAST_SHARE = 0.7
const MOST_ANSWER_MS = 1000

let stage: Stage
let daemon: Sheepfsd
let reader: ChildProcess

before(async () => {
  stage = new Stage()
  const sheep = await startLamb(stage)
  const volume = await sheep.createVdi(VOLUME_SIZE)
  const table = await tableOf(stage, 'm', sheep, [volume])
  daemon = await startSheepfsd(stage, { mounts: [table], head: 'observer_socket = true\n' })
  reader = child('volume-reader.js', join(table.mountpoint, 'volume', volume), String(VOLUME_SIZE))
})
after(() => stage.close())

/** A process of its own, so that what it does takes no time of the others. */
function child(program: string, ...args: readonly string[]): ChildProcess {
  const started = fork(new URL(program, import.meta.url), args)
  stage.defer(() => started.kill('SIGKILL'))
  return started
}

async function ask(who: ChildProcess, what: string): Promise<number> {
  who.send(what)
  const [answer] = (await once(who, 'message')) as [number]
  return answer
}

/** Reads in a turn; `answers` gets how long the daemon took to answer, ms. */
async function readsInTurn(answers: number[]): Promise<number> {
  await pause(REST_MS)
  const since = performance.now()
  const before = await ask(reader, 'count')
  while (performance.now() - since < TURN_MS) {
    const asked = performance.now()
    assert.equal((await daemon.client.health()).status, 'ok')
    answers.push(performance.now() - asked)
    await pause(PROBE_PAUSE_MS)
  }
  return ((await ask(reader, 'count')) - before) / (performance.now() - since)
}

for (const what of Object.keys(FLOODS)) {
  for (const socket of ['observer.sock', 'control.sock']) {
    test(`${socket} with ${what} leaves I/O its speed`, { timeout: 120_000 }, async (t) => {
      const path = join(daemon.place.runtimeDirectory, 'test', socket)
      const flooder = child('flooder.js', path, what, String(CONNECTIONS))
      const speed = { on: 0, off: 0 }
      const answers: number[] = []
      for (let turn = 0; turn < TURNS; turn++) {
        for (const state of ['off', 'on'] as const) {
          await ask(flooder, state)
          speed[state] += await readsInTurn(state === 'on' ? answers : [])
        }
      }
      await ask(flooder, 'off')
      const share = speed.on / speed.off
      const slowest = Math.max(...answers)
      t.diagnostic(
        `${share.toFixed(2)} of ${Math.round((1000 * speed.off) / TURNS)} reads/s; ${Math.round(slowest)} ms`,
      )
      assert.ok(share >= LEAST_SHARE && slowest <= MOST_ANSWER_MS)
    })
  }
}
