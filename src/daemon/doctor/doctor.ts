import type { InstanceConfig } from '../../api/schema/config.ts'
import type { Status } from '../../api/schema/status.ts'
import { errorText, isSheepfsError } from '../../errors.ts'
import { readConfig } from '../config/config.ts'
import { checkSocketGroup } from '../config/socket-group.ts'
import { findWorkerAccount } from '../config/worker-account.ts'
import { instanceFiles, type Environment } from '../config/environment.ts'
import { checkAccess } from './check-access.ts'
import { checkKernel } from './check-kernel.ts'
import { checkMounts } from './check-mounts.ts'
import { checkSheep } from './check-sheep.ts'
import { ok, problem, warning, type Finding } from './finding.ts'
import { gatherAccessFacts, gatherKernelFacts, gatherMountFacts } from './gather-facts.ts'

export interface Patient {
  /** Undefined: none runs and none was named. */
  readonly instance: string | undefined
  readonly environment: Environment
  /** What the daemon answered, or why it did not. */
  readonly status: Status | Error
}

/** Looks at everything that mounts of an instance need. Changes nothing, and does not need the daemon. */
export async function examine({ instance, environment, status }: Patient): Promise<Finding[]> {
  const { config, finding } = await checkConfig(instance, environment)
  const mounts = status instanceof Error ? [] : status.mounts
  const addresses = [...(config?.mount.flatMap(({ sheep }) => sheep) ?? []), ...mounts.flatMap(({ sheep }) => sheep)]
  const wantsAllowOther = config?.mount.some((mount) => mount.allow_other) ?? false
  return [
    ...checkKernel(gatherKernelFacts()),
    ...checkAccess(await gatherAccessFacts(environment.workerUser, wantsAllowOther)),
    finding,
    checkDaemon(instance, status, config?.socket_group),
    ...(await checkSheep(addresses)),
    ...checkMounts(await gatherMountFacts(mounts.map(({ mountpoint }) => mountpoint))),
  ]
}

async function checkConfig(
  instance: string | undefined,
  environment: Environment,
): Promise<{ config: InstanceConfig | undefined; finding: Finding }> {
  if (instance === undefined) {
    const mend = 'name the one that is meant: sheepfsctl --instance NAME doctor'
    return { config: undefined, finding: warning('configuration', 'no instance runs, and none was named', mend) }
  }
  const file = instanceFiles(instance, environment).config
  try {
    const config = await readConfig({ file, instance })
    // whose group the daemon has that it takes otherwise, is not for this process to know
    const account = await findWorkerAccount(environment.workerUser).catch(() => undefined) // another check tells of that
    if (config.socket_group !== undefined) await checkSocketGroup(config.socket_group, account)
    return { config, finding: ok('configuration', `${file}: ${config.mount.length} mounts`) }
  } catch (error) {
    const mend = isSheepfsError(error, 'not-found') ? `write ${file}, man sheepfs.toml has examples` : `correct ${file}`
    return { config: undefined, finding: problem('configuration', errorText(error), mend) }
  }
}

function checkDaemon(instance = 'NAME', status: Status | Error, group?: string): Finding {
  const check = 'daemon'
  if (status instanceof Error) {
    if (isSheepfsError(status, 'not-permitted')) {
      const join = `usermod --append --groups ${group ?? 'sheepfs-admin'} USER, then log in again`
      const first = group === undefined ? `socket_group = "sheepfs-admin" in /etc/sheepfs/${instance}.toml; ` : ''
      return warning(check, status.message, first + join)
    }
    return problem(check, status.message, `systemctl start sheepfs@${instance}; journalctl -u sheepfs@${instance}`)
  }
  const bad = status.mounts.filter(({ state }) => state === 'failed')
  if (bad.length === 0) return ok(check, `runs with pid ${status.pid}, ${status.mounts.length} mounts`)
  const detail = bad.map(({ name, reason }) => `${name} cannot be served: ${reason ?? 'no reason given'}`).join('; ')
  return problem(check, detail, `journalctl -u sheepfs@${instance}`)
}
