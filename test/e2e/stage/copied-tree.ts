import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { start } from './program.ts'
import type { Stage } from './stage.ts'

/**
 * A shell in a mount name space of its own with a private copy of all that is mounted, as a container has it. It runs until
 * its stage ends.
 */
export class CopiedTree {
  readonly #shell: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(shell: ChildProcess) {
    this.#shell = shell
    if (!shell.stdout) throw new Error('the shell has a pipe')
    this.#lines = createInterface({ input: shell.stdout })[Symbol.asyncIterator]()
  }

  static async make(stage: Stage): Promise<CopiedTree> {
    const shell = start('unshare', ['--mount', '--propagation', 'private', 'sh'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    stage.defer(async () => {
      if (shell.exitCode !== null || shell.signalCode !== null) return
      const exited = once(shell, 'exit')
      shell.kill('SIGKILL')
      await exited
    })
    const tree = new CopiedTree(shell)
    await tree.run('true')
    return tree
  }

  get pid(): number | undefined {
    return this.#shell.pid
  }

  /** Runs a command of the shell and resolves with its status. */
  async run(command: string): Promise<number> {
    this.#shell.stdin?.write(`${command}\necho "$?"\n`)
    const line = await this.#lines.next()
    return Number(line.value)
  }
}
