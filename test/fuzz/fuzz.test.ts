import { describe, test } from 'node:test'
import { FUSE_FUZZER } from './fuse-fuzzer.ts'
import { fuzzFor } from './fuzz-for.ts'
import { IPC_FUZZER } from './ipc-fuzzer.ts'
import { SHEEP_FUZZER } from './sheep-fuzzer.ts'

/** Together a minute, and what the compiler and the collector take beside it; `npm run fuzz` goes on for ever. */
const FOR_MS = 24_000

describe('what comes from elsewhere, by chance', () => {
  for (const fuzzer of [SHEEP_FUZZER, FUSE_FUZZER, IPC_FUZZER]) {
    test(`${fuzzer.name} are read or refused, and nothing breaks`, { timeout: 10 * FOR_MS }, async (context) => {
      const seed = Number(process.env['SHEEPFS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
      const rounds = await fuzzFor(fuzzer, seed, FOR_MS)
      context.diagnostic(`SHEEPFS_SEED=${seed}: ${rounds} rounds`)
    })
  }
})
