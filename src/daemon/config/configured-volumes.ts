import type { MountConfig } from '../../api/schema/config.ts'

/** The volumes that a mount always has attached: what is mapped is attached too. */
export function configuredVolumes({ volumes, devices }: Pick<MountConfig, 'volumes' | 'devices'>): string[] {
  return [...new Set([...volumes, ...devices])]
}
