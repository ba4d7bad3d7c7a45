import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Stage } from './stage.ts'

const PAUSE_MS = 5

/** A program of the system that pauses before it does what it is there for. */
export class SlowProgram {
  /** For the front of PATH. */
  readonly folder: string
  readonly #called: string

  private constructor(folder: string) {
    this.folder = folder
    this.#called = join(folder, 'called')
  }

  static async make(stage: Stage, name: string, pauseS: number): Promise<SlowProgram> {
    const slow = new SlowProgram(await stage.folder())
    const script = `#!/bin/sh\nprintf x >>'${slow.#called}'\nsleep ${pauseS}\nPATH=\${PATH#*:} exec ${name} "$@"\n`
    await writeFile(join(slow.folder, name), script, { mode: 0o755 })
    return slow
  }

  /** Resolves when it has been called so many times; the last call pauses still. */
  async called(times = 1): Promise<void> {
    while ((await this.#calls()) < times) await delay(PAUSE_MS)
  }

  async #calls(): Promise<number> {
    return (await readFile(this.#called, 'utf8').catch(() => '')).length
  }
}
