#!/usr/bin/env node
import { errorText, isSheepfsError } from '../errors.ts'
import { createLogger } from '../log.ts'
import { parseArguments } from './arguments.ts'
import { Lamb } from './server.ts'

const EXIT_FAILURE = 1
const EXIT_USAGE = 2

async function main(args: readonly string[]): Promise<void> {
  const command = parseArguments(args)
  if (command.command === 'print') process.stdout.write(command.text)
  else {
    const lamb = new Lamb({ ...command.options, logger: createLogger({ name: 'lamb', level: 'warn' }) })
    command.setFaults(lamb.faults)
    const { host, port } = await lamb.open()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void lamb.close())
    process.stdout.write(`lamb listens on ${host.includes(':') ? `[${host}]` : host}:${port}\n`)
  }
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`lamb: ${errorText(error)}\n`)
  process.exitCode = isSheepfsError(error, 'invalid') ? EXIT_USAGE : EXIT_FAILURE
}
