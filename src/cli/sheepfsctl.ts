#!/usr/bin/env node
import { writeError } from '../journal.ts'
import { screenOf } from './screen.ts'
import { runSheepfsctl } from './sheepfsctl-run.ts'

// the reader of a pipe may have had enough: "sheepfsctl events | head"
process.stdout.once('error', () => process.exit())
process.exitCode = await runSheepfsctl(process.argv.slice(2), {
  variables: process.env,
  write: (text) => process.stdout.write(text),
  writeError,
  ...(process.stdout.isTTY && { screen: screenOf(process.stdout) }),
  showsProgress: process.stderr.isTTY,
})
