import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { errorText, plainLine } from '../../errors.ts'
import { usualWorkerAccount, type WorkerAccount } from '../config/worker-account.ts'
import { line, list, object, oneOf, optional } from '../ipc/shape.ts'
import { checkClusters, type ClusterUse } from './check-sheep.ts'
import { warning, type Finding } from './finding.ts'

const PROGRAM = fileURLToPath(new URL('check-sheep-process.js', import.meta.url))
const MOST_BYTES = 2 ** 20
const MOST_FINDINGS = 10_000
/** More than the checks take, whatever a cluster does. */
const LIMIT_MS = 120_000

/** What the process is given as its argument, as JSON. */
export interface ClusterQuestion {
  readonly account: WorkerAccount
  readonly uses: readonly ClusterUse[]
}

const findings = list(
  object<Finding>({
    ...{ check: line, status: oneOf('ok', 'warning', 'problem'), detail: line },
    mend: optional(line),
  }),
  MOST_FINDINGS,
)

/** As `checkClusters`. What root is told by a cluster is not for root to read: another process does, without its rights. */
export async function askClusters(uses: readonly ClusterUse[]): Promise<readonly Finding[]> {
  if (process.geteuid?.() !== 0 || uses.length === 0) return checkClusters(uses)
  try {
    const question: ClusterQuestion = { account: await usualWorkerAccount(), uses }
    const limits = ['--no-new-privs', '--', 'prlimit', '--core=0', '--']
    const args = [...limits, process.execPath, PROGRAM, JSON.stringify(question)]
    const options = { timeout: LIMIT_MS, killSignal: 'SIGKILL', maxBuffer: MOST_BYTES } as const
    const { stdout } = await promisify(execFile)('setpriv', args, options)
    return findings(JSON.parse(stdout))
  } catch (error) {
    const [last = ''] = errorText(error).trim().split('\n').slice(-1)
    return [warning('clusters', `were not asked: ${plainLine(last)}`, 'sheepfsctl doctor as an ordinary user')]
  }
}
