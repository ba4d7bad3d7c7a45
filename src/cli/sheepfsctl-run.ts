import { ControlClient } from '../api/client.ts'
import { instanceFiles, readEnvironment, type Environment } from '../daemon/config/environment.ts'
import { errorText } from '../errors.ts'
import { printable, printableValue } from '../printable.ts'
import { EXIT, exitCodeOf } from './exit-code.ts'
import { chooseInstance } from './instance-choice.ts'
import { parseCommandLine } from './sheepfsctl-arguments.ts'
import type { Screen } from './screen.ts'
import { Call } from './sheepfsctl-command.ts'
import { showWait } from './wait-display.ts'

/** What a run of the program has besides its arguments. */
export interface RunContext {
  readonly variables: NodeJS.ProcessEnv
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  /** The output, when it is a terminal. */
  readonly screen?: Screen
  /** The error output is a terminal: progress is shown there. */
  readonly showsProgress: boolean
}

/**
 * Runs sheepfsctl with the arguments after its name. Resolves with the exit code; never rejects. Names in a cluster are anybody's:
 * nothing is written that would do something to a terminal, but for the progress.
 */
export async function runSheepfsctl(args: readonly string[], raw: RunContext): Promise<number> {
  const context = {
    ...raw,
    write: (text: string): void => {
      raw.write(printable(text))
    },
  }
  try {
    return await run(args, context)
  } catch (error) {
    context.writeError(complaint(error))
    return exitCodeOf(error)
  }
}

function complaint(error: unknown): string {
  return `sheepfsctl: ${printable(errorText(error)).replaceAll('\n', '\n  ')}\n`
}

async function run(
  args: readonly string[],
  { variables, write, writeError, screen, showsProgress }: RunContext,
): Promise<number> {
  const line = parseCommandLine(args)
  if (line.kind === 'text') {
    write(line.text)
    return EXIT.done
  }
  const { command, values } = line
  const environment = readEnvironment(variables)
  const instance = await instanceOf(command.name, values.text('instance'), environment)
  const { controlSocket, observerSocket: observerPath } = instanceFiles(instance ?? '', environment)
  const present = values.flag('json') ? <T>(value: T): T => value : printableValue
  const client = new ControlClient(controlSocket, { waits: values.flag('wait'), observerPath, present })
  // one line that is written over
  let isShown = false
  const showLine = (text: string): void => {
    if (showsProgress && (isShown || text !== '')) writeError(`\r\u001b[K${printableValue(text)}`)
    isShown = text !== ''
  }
  let doing = command.name
  const showProgress = (text: string): void => {
    doing = text
    showLine(text)
  }
  const complain = (error: unknown): void => {
    showLine('')
    writeError(complaint(error))
  }
  const isWatching = command.watches === true || values.flag('watch')
  const endShow = showsProgress && !isWatching ? showWait(client, () => doing, showLine) : () => undefined
  try {
    return await command.run(
      new Call({ instance, variables, client, args: line.args, values, write, screen, complain, showProgress }),
    )
  } finally {
    endShow()
    showLine('')
  }
}

/** Only doctor does without one: it looks for why there is none. */
async function instanceOf(
  command: string,
  named: string | undefined,
  environment: Environment,
): Promise<string | undefined> {
  try {
    return await chooseInstance(named, environment)
  } catch (error) {
    if (command === 'doctor' && exitCodeOf(error) === EXIT.notRunning) return undefined
    throw error
  }
}
