import { readdir } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { parseInstanceName } from '../daemon/config/instance-name.ts'
import { examineStart } from '../daemon/doctor/doctor.ts'
import { findingText } from '../daemon/doctor/finding.ts'
import { SheepfsError, errorText } from '../errors.ts'

const DIRECTORY = '/etc/sheepfs'
const SUFFIX = '.toml'
const REFUSED = 2

/**
 * Says what a start of instances, named by themselves or by their configuration files, would refuse. Resolves with the exit
 * code: 2 when one would be.
 */
export async function checkInstances(
  wanted: readonly string[],
  variables: NodeJS.ProcessEnv,
  write: (text: string) => void,
): Promise<number> {
  let code = 0
  for (const name of wanted.length > 0 ? wanted : await allInstances()) {
    const { instance, file } = toInstance(name)
    const own = file === undefined ? variables : { ...variables, SHEEPFS_CONFIG: file }
    const findings = (await examineStart(instance, own)).filter(({ status }) => status !== 'ok')
    const isRefused = findings.some(({ status }) => status === 'problem')
    if (isRefused) code = REFUSED
    write(findings.map(findingText).join(''))
    write(`${instance}: a start would ${isRefused ? '' : 'not '}be refused\n`)
  }
  return code
}

async function allInstances(): Promise<string[]> {
  const files = await readdir(DIRECTORY).catch((cause: unknown) => {
    throw new SheepfsError('not-found', `${DIRECTORY} cannot be read: ${errorText(cause)}`, { cause })
  })
  const names = files.filter((file) => file.endsWith(SUFFIX)).map((file) => basename(file, SUFFIX))
  if (names.length > 0) return names
  throw new SheepfsError('not-found', `${DIRECTORY} has no INSTANCE${SUFFIX}: name a file`)
}

function toInstance(text: string): { readonly instance: string; readonly file: string | undefined } {
  const isFile = text.includes('/') || text.endsWith(SUFFIX)
  return { instance: parseInstanceName(basename(text, SUFFIX)), file: isFile ? resolve(text) : undefined }
}
