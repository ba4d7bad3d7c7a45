import { access, constants } from 'node:fs/promises'
import type { EngineName } from '../fuse/engine.ts'

/** What may be asked for; auto is the kernel engine where it may mount, which takes root on Linux. */
export type EngineChoice = EngineName | 'auto'

export async function chooseEngine(choice: EngineChoice): Promise<EngineName> {
  if (choice !== 'auto') return choice
  return (await mayMount()) ? 'kernel' : 'fuse-native'
}

async function mayMount(): Promise<boolean> {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return false
  return access('/dev/fuse', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
}
