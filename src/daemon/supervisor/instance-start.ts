import { setTimeout } from 'node:timers/promises'
import type { InstanceConfig } from '../../api/schema/config.ts'
import type { Lack } from '../../api/schema/status.ts'
import { errorText, isSheepfsError, SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { readConfig } from '../config/config.ts'
import { instanceFiles, type Environment, type InstanceFiles } from '../config/environment.ts'
import { readSavedState, SavedStateFile } from '../config/saved-state.ts'
import { findWorkerAccount, type WorkerAccount } from '../config/worker-account.ts'
import { openDescriptorStore } from '../system/descriptor-store.ts'
import { recordedMounts, takeRecord } from '../mount/record-files.ts'
import { becomeIoFlusher } from '../system/io-flusher.ts'
import { libcOnDemand } from '../system/libc.ts'
import { readServiceUnit } from '../system/service-unit.ts'
import { Instance } from './instance.ts'
import { type InstanceLock, takeInstanceLock } from './instance-lock.ts'
import { claimLeftMounts } from './left-mounts.ts'
import { startWith } from './start-config.ts'
import { startPause } from './start-pause.ts'

interface Given {
  readonly name: string
  readonly environment: Environment
  readonly log: Logger
  /** What a predecessor has left, by name. */
  readonly inherited: ReadonlyMap<string, readonly number[]>
}

/** What a daemon begins with. */
export interface Beginning {
  readonly instance: Instance
  /** What the file says; the instance begins with what a predecessor has left mounted. */
  readonly wanted: InstanceConfig
  readonly files: InstanceFiles
  /** What this host does not give. */
  readonly lacks: readonly Lack[]
  /** Held: this is the only daemon of its instance. */
  readonly lock: InstanceLock
}

/** Takes what a predecessor has left, and what is configured; nothing is mounted by that. Errors: of the configuration; busy. */
export async function beginInstance(given: Given): Promise<Beginning> {
  const { name, environment, log, inherited } = given
  for (const unknown of environment.unknown) log.warn(`the environment variable ${unknown} means nothing`)
  const files = instanceFiles(name, environment)
  const before = inherited.size > 0 ? (await readSavedState(files.state, log)).served : undefined
  const wanted = await readWanted({ file: files.config, instance: name }, before, log)
  const lock = await takeInstanceLock(name, files.directory)
  try {
    return { ...(await beginAlone(given, { wanted, files })), wanted, files, lock }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function beginAlone(
  { name, environment, log, inherited }: Given,
  { wanted, files }: Pick<Beginning, 'wanted' | 'files'>,
): Promise<Pick<Beginning, 'instance' | 'lacks'>> {
  const [saved, unit] = await Promise.all([readSavedState(files.state, log), readServiceUnit()])
  await setTimeout(await startPause(files.directory, { isRestarted: unit.restarts > 0, hasLeft: inherited.size > 0 }))
  const getLibc = libcOnDemand()
  const unprotected = becomeIoFlusher(getLibc)
  const store = openDescriptorStore(process.env['NOTIFY_SOCKET'], unit.storeRoom, { getLibc, log })
  const lacks = [store.lack, unprotected].filter((lack) => lack !== undefined)
  for (const { missing, matters } of lacks) log.warn(`${missing}: ${matters}`)
  const found = await claimLeftMounts(inherited, { store, log })
  for (const mount of recordedMounts(files.directory)) {
    if (!found.has(mount)) takeRecord(files.directory, mount) // the locks that it tells of may be somebody else's by now
  }
  const { config, left } = startWith(wanted, found, { saved, instance: name })
  const instance = new Instance({
    ...{ name, config, left, saved, log },
    stateFile: new SavedStateFile(files.state, log),
    treesFile: files.trees,
    keeping: { store, directory: files.directory },
    workerAccount: await accountOf(environment, log),
    logLevel: environment.logLevel,
  })
  return { instance, lacks }
}

/** The configuration of the file. Where that is wrong, and something is mounted, what held before goes on. */
async function readWanted(
  where: { readonly file: string; readonly instance: string },
  before: InstanceConfig | undefined,
  log: Logger,
): Promise<InstanceConfig> {
  try {
    return await readConfig(where)
  } catch (error) {
    if (before) {
      log.error(`what is mounted goes on as before: ${errorText(error)}`)
      return before
    }
    // as one that is wrong: trying again does not mend it
    throw isSheepfsError(error, 'not-found') ? new SheepfsError('invalid', error.message, { cause: error }) : error
  }
}

/** Whom workers become: only root can become somebody else. */
async function accountOf({ workerUser }: Environment, log: Logger): Promise<WorkerAccount | undefined> {
  if (process.geteuid?.() !== 0) return undefined
  const account = await findWorkerAccount(workerUser)
  if (account.uid === 0) log.warn('SHEEPFS_WORKER_USER is root: who takes a worker over has this host')
  return account
}
