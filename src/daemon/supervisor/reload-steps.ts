import type { ReloadStep } from '../../api/schema/reload.ts'
import { stepOf } from '../config/change-step.ts'
import type { ConfigChange } from '../config/config-diff.ts'
import type { Instance } from './instance.ts'

/** What changes would do to an instance, and what is in their way now. */
export async function plannedSteps(instance: Instance, changes: readonly ConfigChange[]): Promise<ReloadStep[]> {
  return Promise.all(
    changes.map(async (change) => {
      const step = stepOf(change)
      const obstacle = await obstacleOf(instance, change, step)
      return obstacle === '' ? step : { ...step, text: `${step.text}; ${obstacle}, so the reload would be refused` }
    }),
  )
}

/** Devices that nobody uses end with their mount. */
async function obstacleOf(
  instance: Instance,
  change: ConfigChange,
  { mount: name, effect }: ReloadStep,
): Promise<string> {
  const mount = instance.managed.find((candidate) => candidate.name === name)
  if (!mount || (effect !== 'unmount' && change.kind !== 'unmap')) return ''
  const all = await mount.devices.list()
  const leaving = change.kind === 'unmap' ? all.filter(({ volume }) => volume === change.volume) : all
  const used = leaving.filter(({ used_by: users }) => users.length > 0)
  if (used.length > 0)
    return used.map(({ path, used_by: users }) => `${path} is in use by ${users.join(', ')}`).join('; ')
  const open = effect === 'unmount' ? mount.keeper.openFiles - all.length : 0
  return open > 0 ? `${open} open` : ''
}
