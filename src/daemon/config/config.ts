import { readFile } from 'node:fs/promises'
import { parse, TomlError } from 'smol-toml'
import { Default } from 'typebox/value'
import { explainInvalid, type Flaw } from '../../api/explain-invalid.ts'
import { parseTcpAddress } from '../../api/listen-tcp.ts'
import {
  InstanceFile,
  METRICS_LISTEN_TEXT,
  MountDefaulted,
  type InstanceConfig,
  type MountConfig,
  type MountInput,
} from '../../api/schema/config.ts'
import { SheepfsError, errorText } from '../../errors.ts'
import { canonicalAddresses, checkMounts, mountText, resolveMount, type MountContext } from './config-mount.ts'
import { checkTrusted } from './trusted-path.ts'

/** Where a configuration is from, and what it is for. */
export interface ConfigSource {
  /** For messages. */
  readonly file: string
  /** The name of the instance, and of a mount that has none. */
  readonly instance: string
}

/** Reads and checks the configuration of an instance. Errors: not-found, not-permitted, invalid (all flaws, a line each). */
export async function readConfig(source: ConfigSource): Promise<InstanceConfig> {
  try {
    const text = await readFile(source.file, 'utf8')
    await checkTrusted(source.file)
    return parseConfig(text, source)
  } catch (error) {
    throw error instanceof SheepfsError ? error : fileError(source.file, error)
  }
}

/** Checks the text of a configuration file and fills in what it leaves open. Errors: invalid. */
export function parseConfig(text: string, { file, instance }: ConfigSource): InstanceConfig {
  const value = Default(InstanceFile, parseToml(text, file))
  refuse(explainInvalid(InstanceFile, value), file)
  const { sheep: given, mount, socket_group, observer_socket, observer_group, metrics_listen } = value as InstanceFile
  const flaws: Flaw[] = []
  if (observer_group !== undefined && !observer_socket)
    flaws.push({ path: 'observer_group', text: 'there is no socket for it, expected observer_socket = true too' })
  if (metrics_listen !== undefined && parseTcpAddress(metrics_listen) === undefined) {
    flaws.push({ path: 'metrics_listen', text: `found "${metrics_listen}", expected ${METRICS_LISTEN_TEXT}` })
  }
  const sheep = given && canonicalAddresses(given, (path, text) => flaws.push({ path, text }))
  const context = { instance, sheep }
  const mounts = mount.map((table, i) =>
    resolveMount(table, context, (key, text) => flaws.push({ path: `mount[${i}].${key}`, text })),
  )
  flaws.push(...checkMounts(mounts))
  refuse(flaws, file)
  return { sheep: sheep ?? [], socket_group, observer_socket, observer_group, metrics_listen, mount: mounts }
}

/** Checks a mount that is wanted beside those that are there, as `parseConfig` does. Errors: invalid, exists. */
export function parseMount(input: MountInput, context: MountContext, present: readonly MountConfig[]): MountConfig {
  const value = Default(MountDefaulted, structuredClone(input))
  const flaws = explainInvalid(MountDefaulted, value)
  refuse(flaws, 'mount')
  const mount = resolveMount(value as MountDefaulted, context, (path, text) => flaws.push({ path, text }))
  refuse(flaws, 'mount')
  const [taken] = checkMounts([...present, mount], (index) => `mount "${present[index]?.name ?? ''}"`)
  if (taken) throw new SheepfsError('exists', `mount ${taken.path.replace(/^.*\./, '')}: ${taken.text}`)
  return mount
}

function refuse(flaws: readonly Flaw[], where: string): void {
  if (flaws.length === 0) return
  const texts = flaws.map(({ path, text }) => `${where}: ${placeText(path)}: ${text}`)
  throw new SheepfsError('invalid', texts.join('\n'))
}

/** Where a flaw is, as people count tables: `[[mount]] 2: page_cache`. */
function placeText(path: string): string {
  const text = path.replace(/^mount\[(\d+)\]/, (_, index) => `${mountText(Number(index))}:`)
  return text.replace(':.', ': ').replace(/:$/, '')
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text)
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause
    const [reason = ''] = cause.message.replace('Invalid TOML document: ', '').split('\n')
    throw new SheepfsError('invalid', `${file}:${cause.line}:${cause.column}: not TOML: ${reason}`, { cause })
  }
}

function fileError(file: string, cause: unknown): SheepfsError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT')
    return new SheepfsError('not-found', `${file} does not exist: expected the configuration there`, { cause })
  if (code === 'EACCES') return new SheepfsError('not-permitted', `${file} may not be read by this user`, { cause })
  return new SheepfsError('invalid', `${file} cannot be read: ${errorText(cause)}`, { cause })
}
