import { access, constants } from 'node:fs/promises'
import { type Engine, type EngineName } from '../fuse/engine.ts'
import { kernelEngine } from '../fuse/kernel/kernel-engine.ts'
import { fuseNativeEngine } from '../fuse/native/fuse-native-engine.ts'

const ENGINE = { kernel: kernelEngine, 'fuse-native': fuseNativeEngine } as const satisfies Record<EngineName, Engine>

/** What may be asked for; auto is the kernel engine where it may mount, which takes root on Linux. */
export type EngineChoice = EngineName | 'auto'

export async function chooseEngine(choice: EngineChoice): Promise<Engine> {
  if (choice !== 'auto') return ENGINE[choice]
  return (await mayMount()) ? kernelEngine : fuseNativeEngine
}

async function mayMount(): Promise<boolean> {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return false
  return access('/dev/fuse', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
}
