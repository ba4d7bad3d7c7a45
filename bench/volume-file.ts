import { stat } from 'node:fs/promises'
import { succeed } from '../test/e2e/stage/program.ts'
import { peakMemory, startSheepfs, type SheepfsOptions } from '../test/e2e/stage/sheepfs.ts'
import type { Stage } from '../test/e2e/stage/stage.ts'
import { runFio } from './fio.ts'
import type { Target } from './target.ts'

const FILL_LIMIT_MS = 600_000

/** A volume of its own, of `size` bytes, in a sheepfs of its own. */
export async function sheepfsTarget(
  stage: Stage,
  label: string,
  { size, ...options }: SheepfsOptions & { readonly size: number },
): Promise<Target> {
  const name = await options.sheep.createVdi(size)
  const sheepfs = await startSheepfs(stage, { ...options, attach: [name] })
  const target = await fileTarget(label, sheepfs.volume(name), size)
  return { ...target, peakMemory: async () => peakMemory(await sheepfs.workerPid()) }
}

/** Any file of at least `size` bytes; its data is overwritten, so that all of it is there when it is measured. */
export async function fileTarget(label: string, file: string, size: number): Promise<Target> {
  const { size: present } = await stat(file)
  if (present < size) throw new Error(`${file} has ${present} bytes, ${size} are measured: see --size`)
  const blocks = ['bs=1M', `count=${size / 2 ** 20}`, 'conv=notrunc,fsync', 'status=none']
  await succeed('dd', ['if=/dev/zero', `of=${file}`, ...blocks], { limitMs: FILL_LIMIT_MS })
  return {
    label,
    measure: (workload) => runFio(file, size, workload),
    peakMemory: () => Promise.resolve(undefined),
  }
}
