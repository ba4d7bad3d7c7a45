import { access, constants } from 'node:fs/promises'
import type { Engine, EngineName } from '../fuse/engine.ts'

/** Loaded when they serve: a supervisor needs their names only. */
const LOAD_ENGINE = {
  kernel: async () => (await import('../fuse/kernel/kernel-engine.ts')).kernelEngine,
  'fuse-native': async () => (await import('../fuse/native/fuse-native-engine.ts')).fuseNativeEngine,
} as const satisfies Record<EngineName, () => Promise<Engine>>

/** What may be asked for; auto is the kernel engine where it may mount, which takes root on Linux. */
export type EngineChoice = EngineName | 'auto'

export async function chooseEngine(choice: EngineChoice): Promise<EngineName> {
  if (choice !== 'auto') return choice
  return (await mayMount()) ? 'kernel' : 'fuse-native'
}

export async function loadEngine(choice: EngineChoice): Promise<Engine> {
  return LOAD_ENGINE[await chooseEngine(choice)]()
}

async function mayMount(): Promise<boolean> {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return false
  return access('/dev/fuse', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
}
