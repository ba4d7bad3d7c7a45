#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { errorText, isSheepfsError, SheepfsError } from '../errors.ts'
import { tellError } from '../journal.ts'
import { printable } from '../printable.ts'
import { parseOptions } from './parse-options.ts'
import { programVersion, versionLine } from '../program-version.ts'

const USAGE = `Usage: sheepfsd [OPTION]... [INSTANCE]
       sheepfsd --check [INSTANCE|FILE]...
Owns the mounts of /etc/sheepfs/INSTANCE.toml and serves the control socket /run/sheepfs/INSTANCE/control.sock.

      --check    start nothing: look for everything that a start would refuse (default: of all in /etc/sheepfs)
  -h, --help     print this and exit
      --version  print the version and exit

Environment: SHEEPFS_INSTANCE (instead of INSTANCE), SHEEPFS_CONFIG (another configuration file), SHEEPFS_RUNTIME_DIR
(default /run/sheepfs), SHEEPFS_LOG_LEVEL (default info), SHEEPFS_LOG_FORMAT (text or json), SHEEPFS_WORKER_USER (default
sheepfs), SHEEPFS_STOP_TIMEOUT (seconds, default 60). SIGHUP reloads the configuration, SIGTERM unmounts everything and ends.
`

async function main(): Promise<void> {
  const options = {
    check: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean' },
  } as const
  const { values, positionals } = parseOptions(process.argv.slice(2), options)
  if (values.help === true) process.stdout.write(USAGE)
  else if (values.version === true) process.stdout.write(versionLine('sheepfsd'))
  else if (values.check === true) {
    const { checkInstances } = await import('./sheepfsd-check.ts')
    process.exitCode = await checkInstances(positionals, process.env, (text) => process.stdout.write(printable(text)))
  } else {
    // the supervisor moves no data: it had better be small. The flags hold for what is loaded after them
    setFlagsFromString('--optimize-for-size')
    setFlagsFromString('--max-semi-space-size=2')
    const { readEnvironment } = await import('../daemon/config/environment.ts')
    const { parseInstanceName } = await import('../daemon/config/instance-name.ts')
    const { runSheepfsd } = await import('../daemon/supervisor/sheepfsd-process.ts')
    const environment = readEnvironment(process.env)
    const [instance = environment.instance, ...rest] = positionals
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
