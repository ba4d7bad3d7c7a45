import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ControlClient } from '../../api/client.ts'
import { groupIdOf } from '../../api/group-id.ts'
import { checkSocketPath } from '../../api/listen-unix.ts'
import type { InstanceConfig, MountConfig } from '../../api/schema/config.ts'
import { countText } from '../../count-text.ts'
import { errorText, isSheepfsError } from '../../errors.ts'
import { readConfig } from '../config/config.ts'
import { instanceFiles, readEnvironment, type Environment } from '../config/environment.ts'
import { COMMON_ENVIRONMENT_FILE, readEnvironmentFile } from '../config/environment-file.ts'
import { checkMountpointFor } from '../config/mountpoint-check.ts'
import { checkMetricsListen, checkSocketGroup } from '../config/socket-group.ts'
import { findWorkerAccount } from '../config/worker-account.ts'
import { ok, problem, warning, type Finding } from './finding.ts'

/** An instance as its unit would start it. */
export interface StartFacts {
  readonly instance: string
  /** Of whoever looks: they come before those of the unit's files. */
  readonly variables: NodeJS.ProcessEnv
}

export interface StartCheck {
  /** Undefined: it cannot be used. */
  readonly config: InstanceConfig | undefined
  /** As the unit has it. */
  readonly environment: Environment
  readonly findings: readonly Finding[]
}

/** Looks at everything that a start would refuse, but for the clusters. Changes nothing. */
export async function checkStart({ instance, variables }: StartFacts): Promise<StartCheck> {
  const own = readEnvironment(variables)
  const unitFile = join(dirname(instanceFiles(instance, own).config), `${instance}.env`)
  const { environment, findings } = await checkEnvironment([COMMON_ENVIRONMENT_FILE, unitFile], { own, variables })
  const file = instanceFiles(instance, environment).config // the unit may have another one
  const { config, flaws } = await checkConfigFile(file, instance)
  if (config === undefined) return { config, environment, findings: [...findings, ...flaws] }
  const more = [
    ...(await checkSockets({ config, environment, instance, file })),
    ...(await checkMountpoints(config.mount)),
    ...checkDevices(config.mount),
  ]
  const isFine = more.length === 0
  const fine = isFine ? [ok('configuration', `${file}: ${countText(config.mount.length, 'mount')}`)] : []
  return { config, environment, findings: [...findings, ...fine, ...more] }
}

async function checkEnvironment(
  files: readonly string[],
  { own, variables }: { readonly own: Environment; readonly variables: NodeJS.ProcessEnv },
): Promise<{ environment: Environment; findings: Finding[] }> {
  const findings: Finding[] = []
  let environment = own
  let given: NodeJS.ProcessEnv = {}
  for (const file of files) {
    try {
      const found = await readEnvironmentFile(file)
      for (const name of readEnvironment(found).unknown) {
        findings.push(warning(file, `the variable ${name} means nothing`, `correct ${file}`))
      }
      given = { ...given, ...found }
      environment = readEnvironment({ ...given, ...variables })
    } catch (error) {
      findings.push(flawOf(file, `correct ${file}`, error))
    }
  }
  return { environment, findings }
}

async function checkConfigFile(
  file: string,
  instance: string,
): Promise<{ config: InstanceConfig | undefined; flaws: Finding[] }> {
  try {
    return { config: await readConfig({ file, instance }), flaws: [] }
  } catch (error) {
    const mend = isSheepfsError(error, 'not-found') ? `write ${file}, man sheepfs.toml has examples` : `correct ${file}`
    return { config: undefined, flaws: [flawOf('configuration', mend, error)] }
  }
}

async function checkSockets(start: {
  readonly config: InstanceConfig
  readonly environment: Environment
  readonly instance: string
  readonly file: string
}): Promise<Finding[]> {
  const { config, environment, instance, file } = start
  const { controlSocket, observerSocket } = instanceFiles(instance, environment)
  // another check tells of an account that is not there
  const account = await findWorkerAccount(environment.workerUser).catch(() => undefined)
  const group = config.socket_group
  const checks = [
    // whose group the daemon has that it takes otherwise, is not for this process to know
    problemOf('control socket', `correct socket_group in ${file}`, async () => {
      if (group !== undefined) await checkSocketGroup(group, account)
    }),
    problemOf('observer socket', `correct observer_group in ${file}`, async () => {
      if (config.observer_group !== undefined) await groupIdOf(config.observer_group, 'observer_group')
    }),
    problemOf('metrics', `correct metrics_listen in ${file}`, async () => {
      const running = new ControlClient(controlSocket, { observerPath: observerSocket })
      const status = config.metrics_listen === undefined ? undefined : await running.status().catch(() => undefined)
      await checkMetricsListen(config.metrics_listen, status?.metrics_listen)
    }),
    ...(config.observer_socket ? [controlSocket, observerSocket] : [controlSocket]).map((path) =>
      problemOf('control socket', 'choose a shorter name, or another SHEEPFS_RUNTIME_DIR', () => {
        checkSocketPath(path)
      }),
    ),
  ]
  return (await Promise.all(checks)).flat()
}

async function checkMountpoints(mounts: readonly MountConfig[]): Promise<Finding[]> {
  const names = new Set(mounts.map(({ name }) => name))
  const checks = mounts.map(({ name, mountpoint: path }) => {
    const mend = `mkdir -p ${path}, or set another mountpoint; what is in its place has to go`
    return problemOf(`mount ${name}`, mend, () => checkMountpointFor(path, names))
  })
  return (await Promise.all(checks)).flat()
}

const LOOP_CONTROL = '/dev/loop-control'

/** A start does without: they are mapped as soon as they can be. */
function checkDevices(mounts: readonly MountConfig[]): Finding[] {
  if (mounts.every(({ devices }) => devices.length === 0) || existsSync(LOOP_CONTROL)) return []
  return [warning('devices', `there is no ${LOOP_CONTROL}: no volume can be mapped to a block device`, 'modprobe loop')]
}

async function problemOf(check: string, mend: string, look: () => Promise<void> | void): Promise<Finding[]> {
  try {
    await look()
    return []
  } catch (error) {
    return [flawOf(check, mend, error)]
  }
}

/** What this user may not look at, the daemon may. */
function flawOf(check: string, mend: string, error: unknown): Finding {
  if (isSheepfsError(error, 'not-permitted')) return warning(check, errorText(error), 'run this as root')
  return problem(check, errorText(error), mend)
}
