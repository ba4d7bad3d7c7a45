import { existsSync } from 'node:fs'

const SYSTEMD = '/run/systemd/system'
const SCOPE = [
  ...['--scope', '--quiet', '--collect', '--slice=system.slice', '--description=Work of sheepfs on its mounts'],
  '--property=DefaultDependencies=no', // a shutdown leaves it to the service, which may need it for its end
]

/**
 * The command of a program that touches a mount of this process, or a device over one: where systemd runs, in a unit of its
 * own. Killed with all of the service it would wait for an answer, and systemd for it before it starts who answers
 * (docs/fuse-kernel-protocol.md#16). The process is the one that is started, with what it inherits.
 */
export function inOwnScope(program: string, args: readonly string[]): { program: string; args: readonly string[] } {
  if (!existsSync(SYSTEMD) || process.geteuid?.() !== 0) return { program, args }
  return { program: 'systemd-run', args: [...SCOPE, '--', program, ...args] }
}
