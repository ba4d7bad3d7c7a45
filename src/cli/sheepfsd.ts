#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { readCommandLine } from '../command-line.ts'
import { errorText, isSheepfsError, SheepfsError } from '../errors.ts'
import { tellError } from '../journal.ts'
import { printable } from '../printable.ts'
import { programVersion } from '../program-version.ts'
import { sheepfsdProgram } from './sheepfsd-program.ts'

async function main(): Promise<void> {
  const program = sheepfsdProgram()
  const { text, values } = readCommandLine(program, process.argv.slice(2))
  if (values === undefined) process.stdout.write(text)
  else if (values.flag('check')) {
    const { checkInstances } = await import('./sheepfsd-check.ts')
    process.exitCode = await checkInstances(program.args, process.env, (text) => process.stdout.write(printable(text)))
  } else {
    // the supervisor moves no data: it had better be small. The flags hold for what is loaded after them
    setFlagsFromString('--optimize-for-size')
    setFlagsFromString('--max-semi-space-size=2')
    const { readEnvironment } = await import('../daemon/config/environment.ts')
    const { parseInstanceName } = await import('../daemon/config/instance-name.ts')
    const { runSheepfsd } = await import('../daemon/supervisor/sheepfsd-process.ts')
    const environment = readEnvironment(process.env)
    const [instance = environment.instance, ...rest] = program.args
    if (instance === undefined || rest.length > 0) {
      throw new SheepfsError('invalid', 'expected the name of one instance: sheepfsd INSTANCE')
    }
    await runSheepfsd(parseInstanceName(instance), environment, programVersion())
  }
}

try {
  await main()
} catch (error) {
  const isDefect = error instanceof Error && !isSheepfsError(error)
  tellError(`sheepfsd: ${isDefect ? String(error.stack) : errorText(error)}\n`)
  process.exitCode = isSheepfsError(error, 'invalid') ? 2 : 1
}
