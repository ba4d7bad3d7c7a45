import { FUSE_FUZZER } from './fuse-fuzzer.ts'
import { fuzzFor } from './fuzz-for.ts'
import { IPC_FUZZER } from './ipc-fuzzer.ts'
import { SHEEP_FUZZER } from './sheep-fuzzer.ts'

/*
 * Plays all fuzzers in turn, until one of them finds something or it is stopped: `npm run fuzz`; from a given number on:
 * `npm run fuzz -- NUMBER`.
 */

const TURN_MS = 10_000

let seed = Number(process.argv[2] ?? Math.floor(Math.random() * 2 ** 31))
for (;;) {
  const counts: string[] = []
  let most = 0
  for (const fuzzer of [SHEEP_FUZZER, FUSE_FUZZER, IPC_FUZZER]) {
    const rounds = await fuzzFor(fuzzer, seed, TURN_MS)
    counts.push(`${rounds} of ${fuzzer.name}`)
    most = Math.max(most, rounds)
  }
  console.log(`from ${seed} on: ${counts.join(', ')}`)
  seed += most
}
