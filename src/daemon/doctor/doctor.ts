import type { InstanceConfig } from '../../api/schema/config.ts'
import type { Status } from '../../api/schema/status.ts'
import { countText } from '../../count-text.ts'
import { isSheepfsError } from '../../errors.ts'
import { checkAccess } from './check-access.ts'
import { checkKernel } from './check-kernel.ts'
import { checkMounts } from './check-mounts.ts'
import { askClusters } from './ask-clusters.ts'
import type { ClusterUse } from './check-sheep.ts'
import { checkRuntime } from './check-runtime.ts'
import { checkStart } from './check-start.ts'
import { ok, problem, warning, type Finding } from './finding.ts'
import { gatherAccessFacts, gatherKernelFacts, gatherLacks, gatherMountFacts } from './gather-facts.ts'
import { programVersion } from '../../program-version.ts'
import { configuredVolumes } from '../config/configured-volumes.ts'
import { readEnvironment } from '../config/environment.ts'
import { findDeadLoops } from '../system/dead-mount.ts'

export interface Patient {
  /** Undefined: none runs and none was named. */
  readonly instance: string | undefined
  readonly variables: NodeJS.ProcessEnv
  /** What the daemon answered, or why it did not. */
  readonly status: Status | Error
}

/** Looks at everything that mounts of an instance need. Changes nothing, and does not need the daemon. */
export async function examine({ instance, variables, status }: Patient): Promise<Finding[]> {
  const start =
    instance === undefined
      ? { config: undefined, environment: readEnvironment(variables), findings: [unnamed()] }
      : await checkStart({ instance, variables })
  const { config, environment } = start
  const { mounts, node: ofDaemon } = status instanceof Error ? { mounts: [], node: undefined } : status
  const present = mounts.map(({ sheep }) => ({ sheep, volumes: [] })) // other sheep than configured, or another mount
  const wantsAllowOther = config?.mount.some((mount) => mount.allow_other) ?? false
  return [
    ...checkKernel(gatherKernelFacts()),
    checkRuntime({ version: process.versions.node, path: process.execPath, ofDaemon }, instance),
    ...checkAccess(await gatherAccessFacts(environment.workerUser, wantsAllowOther)),
    ...start.findings,
    checkDaemon(instance, status, config?.socket_group),
    ...checkLacks(status instanceof Error ? await gatherLacks(instance) : status.lacks),
    ...(await askClusters([...usesOf(config), ...present])),
    ...(await lookAtMounts(mounts.map(({ mountpoint }) => mountpoint))),
  ]
}

/** Everything that a start of the instance would refuse, also what its clusters have to say. */
export async function examineStart(instance: string, variables: NodeJS.ProcessEnv): Promise<Finding[]> {
  const { config, environment, findings } = await checkStart({ instance, variables })
  const wantsAllowOther = config?.mount.some((mount) => mount.allow_other) ?? false
  return [
    ...checkAccess(await gatherAccessFacts(environment.workerUser, wantsAllowOther)),
    ...findings,
    ...(await askClusters(usesOf(config))),
  ]
}

/** What a daemon says of itself, or what it would: one of version 0.1.0 does not say. */
function checkLacks(lacks: Status['lacks']): Finding[] {
  if (lacks?.length === 0) return [ok('host', 'gives all that mounts need to outlive the daemon')]
  return (lacks ?? []).map(({ missing, matters, mend }) => warning('host', `${missing}: ${matters}`, mend))
}

/** `owned`: mountpoints that a running daemon says are its own. */
async function lookAtMounts(owned: readonly string[]): Promise<Finding[]> {
  const dead = await findDeadLoops(({ mountpoint }) => owned.includes(mountpoint))
  const loops = dead.map(({ mounts, ...loop }) => ({ ...loop, mountpoints: mounts.map(({ target }) => target) }))
  return checkMounts(await gatherMountFacts(owned), loops)
}

function usesOf(config: InstanceConfig | undefined): ClusterUse[] {
  return (config?.mount ?? []).map((mount) => ({ sheep: mount.sheep, volumes: configuredVolumes(mount) }))
}

function unnamed(): Finding {
  const mend = 'name the one that is meant: sheepfsctl --instance NAME doctor'
  return warning('configuration', 'no instance runs, and none was named', mend)
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
  const versions = [status.version, ...status.mounts.flatMap(({ worker }) => worker?.version ?? [])]
  const old = [...new Set(versions)].filter((version) => version !== programVersion())
  const bad = status.mounts.filter(({ state }) => state === 'failed')
  if (bad.length === 0 && old.length > 0) {
    const detail = `version ${old.join(', ')} runs, ${programVersion()} is installed`
    return warning(check, detail, `sheepfsctl restart MOUNT for workers, systemctl restart sheepfs@${instance} for all`)
  }
  if (bad.length === 0) {
    const count = countText(status.mounts.length, 'mount')
    return ok(check, `version ${status.version} runs with pid ${status.pid}, ${count}`)
  }
  const detail = bad.map(({ name, reason }) => `${name} cannot be served: ${reason ?? 'no reason given'}`).join('; ')
  return problem(check, detail, `journalctl -u sheepfs@${instance}`)
}
