import type { Mount } from '../../api/schema/mount.ts'
import type { Status } from '../../api/schema/status.ts'

/** What the text is made from: an instance has it. */
export interface StatusSource {
  readonly state: Status['state']
  readonly managed: readonly {
    readonly name: string
    readonly state: Mount['state']
    readonly keeper: { readonly reason: string | undefined }
  }[]
}

/** One line for `systemctl status`: what each mount does. */
export function statusText(instance: StatusSource): string {
  const mounts = instance.managed
  const troubled = mounts.filter(({ state }) => state !== 'serving')
  if (instance.state === 'stopping') return `stopping; ${mounts.length} still mounted`
  if (mounts.length === 0) return 'no mounts'
  if (troubled.length === 0) return `serving ${mounts.length} ${mounts.length === 1 ? 'mount' : 'mounts'}`
  const details = troubled.map(({ name, state, keeper }) =>
    keeper.reason === undefined ? `${name} ${state}` : `${name} ${state}: ${keeper.reason}`,
  )
  return `serving ${mounts.length - troubled.length} of ${mounts.length} mounts; ${details.join('; ')}`
}
