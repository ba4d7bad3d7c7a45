import { readFile } from 'node:fs/promises'
import { SheepfsError, errorText } from '../../errors.ts'

/** Read before the file of the instance, by its unit. */
export const COMMON_ENVIRONMENT_FILE = '/etc/default/sheepfs'

/** The variables of a file that may be missing, as systemd gives them to a unit. Errors: not-permitted, io. */
export async function readEnvironmentFile(path: string): Promise<NodeJS.ProcessEnv> {
  try {
    return parseEnvironmentFile(await readFile(path, 'utf8'))
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT') return {}
    if (code === 'EACCES') throw new SheepfsError('not-permitted', 'may not be read by this user', { cause })
    throw new SheepfsError('io', `cannot be read: ${errorText(cause)}`, { cause })
  }
}

/** The text of an EnvironmentFile= (systemd.exec(5)); lines that set nothing are left out. */
export function parseEnvironmentFile(text: string): NodeJS.ProcessEnv {
  const lines = text.replace(/\\\n/g, '').split('\n')
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [, name, value = ''] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? []
      return name === undefined ? [] : [[name, unquote(value.trim())]]
    }),
  )
}

function unquote(value: string): string {
  return value.replace(
    /"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g,
    (_, double?: string, single?: string, escaped?: string) =>
      double === undefined ? (single ?? escaped ?? '') : double.replace(/\\(["\\$`])/g, '$1'),
  )
}
