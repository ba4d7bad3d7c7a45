import type { Command } from 'commander'
import { newProgram } from '../command-line.ts'

const DESCRIPTION =
  'Owns the mounts of /etc/sheepfs/INSTANCE.toml and serves the control socket /run/sheepfs/INSTANCE/control.sock.'

const AFTER_HELP = `
Environment: SHEEPFS_INSTANCE (instead of INSTANCE), SHEEPFS_CONFIG (another configuration file), SHEEPFS_RUNTIME_DIR
(default /run/sheepfs), SHEEPFS_LOG_LEVEL (default info), SHEEPFS_LOG_FORMAT (text or json), SHEEPFS_WORKER_USER (default
sheepfs), SHEEPFS_STOP_TIMEOUT (seconds, default 60). SIGHUP reloads the configuration, SIGTERM unmounts everything and ends.`

/** sheepfsd as commander reads it. */
export function sheepfsdProgram(): Command {
  return newProgram('sheepfsd', DESCRIPTION, [
    ['--check', 'start nothing: look for everything that a start would refuse (default: of all in /etc/sheepfs)'],
  ])
    .usage('[OPTION]... [INSTANCE]\n       sheepfsd --check [INSTANCE|FILE]...')
    .argument('[INSTANCE...]')
    .addHelpText('after', AFTER_HELP)
}
