import { envSchema } from 'env-schema'
import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import { explainInvalid } from '../../api/explain-invalid.ts'
import { AbsolutePath, Name } from '../../api/schema/scalars.ts'
import { SheepfsError, errorText } from '../../errors.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../../log.ts'

/** The environment of sheepfsd and sheepfsctl: /etc/default/sheepfs and /etc/sheepfs/INSTANCE.env under systemd. */
export const EnvironmentVariables = Type.Object({
  SHEEPFS_INSTANCE: Type.Optional(Name),
  SHEEPFS_LOG_LEVEL: Type.Enum([...LOG_LEVELS], { default: 'info', description: `one of ${LOG_LEVELS.join(', ')}` }),
  SHEEPFS_LOG_FORMAT: Type.Optional(Type.Enum([...LOG_FORMATS], { description: LOG_FORMATS.join(' or ') })),
  SHEEPFS_CONFIG: Type.Optional(AbsolutePath),
  SHEEPFS_RUNTIME_DIR: Type.String({ ...AbsolutePath, default: '/run/sheepfs' }),
  SHEEPFS_WORKER_USER: Type.String({
    minLength: 1,
    default: 'sheepfs',
    description: 'the name of the user that workers run as when the supervisor is root',
  }),
  SHEEPFS_STOP_TIMEOUT: Type.Number({
    minimum: 1,
    maximum: 3600,
    default: 60,
    description: 'the seconds that a stop may take, 1 to 3600',
  }),
})

/** What the environment says. */
export interface Environment {
  readonly instance: string | undefined
  readonly logLevel: (typeof LOG_LEVELS)[number]
  readonly configFile: string | undefined
  /** The parent of the instances' directories. */
  readonly runtimeDirectory: string
  readonly workerUser: string
  readonly stopTimeoutMs: number
  /** Variables named SHEEPFS_… that mean nothing: most likely misspelt. */
  readonly unknown: readonly string[]
}

/** Reads the variables, with their defaults. Errors: invalid, naming the variable, what was found and what is expected. */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const known = Object.keys(EnvironmentVariables.properties)
  const ours = Object.entries(variables).filter(([name]) => name.startsWith('SHEEPFS_'))
  const data = Object.fromEntries(ours.filter(([name, value]) => known.includes(name) && value !== ''))
  const read = validate(data)
  return {
    instance: read.SHEEPFS_INSTANCE,
    logLevel: read.SHEEPFS_LOG_LEVEL,
    configFile: read.SHEEPFS_CONFIG,
    runtimeDirectory: read.SHEEPFS_RUNTIME_DIR,
    workerUser: read.SHEEPFS_WORKER_USER,
    stopTimeoutMs: read.SHEEPFS_STOP_TIMEOUT * 1000,
    unknown: ours.map(([name]) => name).filter((name) => !known.includes(name) && !name.startsWith('SHEEPFS_TEST_')),
  }
}

function validate(data: NodeJS.ProcessEnv): Static<typeof EnvironmentVariables> {
  try {
    return envSchema<Static<typeof EnvironmentVariables>>({ schema: EnvironmentVariables, data, env: false })
  } catch (cause) {
    const flaws = explainInvalid(Type.Partial(EnvironmentVariables), data)
    const text = flaws.map((flaw) => `${flaw.path}: ${flaw.text}`).join('\n')
    throw new SheepfsError('invalid', text === '' ? errorText(cause) : text, { cause })
  }
}

/** Files of an instance. */
export interface InstanceFiles {
  readonly config: string
  /** Its own directory below the runtime directory. */
  readonly directory: string
  readonly controlSocket: string
  readonly observerSocket: string
  readonly state: string
  /** What udev reads of its mounts. */
  readonly trees: string
}

export function instanceFiles(instance: string, { configFile, runtimeDirectory }: Environment): InstanceFiles {
  const directory = join(runtimeDirectory, instance)
  return {
    config: configFile ?? `/etc/sheepfs/${instance}.toml`,
    directory,
    controlSocket: join(directory, 'control.sock'),
    observerSocket: join(directory, 'observer.sock'),
    state: join(directory, 'state.json'),
    trees: join(directory, 'trees'),
  }
}
