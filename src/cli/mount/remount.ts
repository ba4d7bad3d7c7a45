import { SheepfsError } from '../../errors.ts'
import { bindFlags, remountFlags } from './mount-flags.ts'
import type { MountRequest } from './mount-request.ts'
import type { MountSource } from './mount-source.ts'
import { recordedOptions, type MountedAt } from '../../daemon/system/remembered-mounts.ts'
import { runSystemProgram } from '../../daemon/system/system-program.ts'

/** Changes options of what is mounted already. Errors: invalid (nothing is), io (what mount(8) complains of). */
export async function remount(
  source: MountSource,
  { options, directory, signal }: MountRequest,
  present: MountedAt | undefined,
): Promise<void> {
  if (!present) throw new SheepfsError('invalid', `"${directory}" is not mounted: there is nothing to remount`)
  const isBind = source.kind === 'instance' && source.volume === undefined
  const flags = isBind ? ['bind', ...bindFlags(options.rest, present)] : remountFlags(options, present)
  // mount(8) forgets what it is not told again
  const all = ['remount', ...flags, ...recordedOptions(present)]
  await runSystemProgram('mount', ['-i', '-t', present.fstype, '-o', all.join(','), directory], { signal })
}
