import { isInstanceName } from '../../daemon/config/instance-name.ts'
import { SheepfsError } from '../../errors.ts'

/** What `mount -t sheepfs SOURCE` names: a running instance, or a cluster that gets a daemon of its own. */
export type MountSource = InstanceSource | StandaloneSource

export interface InstanceSource {
  readonly kind: 'instance'
  /** As it was written, for messages and for recognizing the mount. */
  readonly text: string
  readonly instance: string
  /** In the grammar of volume names, not checked here; undefined: the tree. */
  readonly volume: string | undefined
}

export interface StandaloneSource {
  readonly kind: 'standalone'
  readonly text: string
  /** Addresses of sheep, separated by commas, not checked here. */
  readonly addresses: string
  readonly volume: string | undefined
}

const SCHEME = 'sheepdog://'
const EXPECTED = 'expected INSTANCE, INSTANCE/VDI[@TAG] or sheepdog://HOST[:PORT][,HOST…]/[VDI[@TAG]]'

/** Reads the source of a mount. Errors: invalid, saying what is expected. */
export function parseMountSource(text: string): MountSource {
  const isStandalone = text.startsWith(SCHEME)
  const rest = isStandalone ? text.slice(SCHEME.length) : text
  const slash = rest.indexOf('/')
  const head = slash === -1 ? rest : rest.slice(0, slash)
  const volume = slash === -1 || slash === rest.length - 1 ? undefined : rest.slice(slash + 1)
  if (volume?.includes('/') === true) {
    throw new SheepfsError('invalid', `source "${text}": more than one "/": one in the name of a VDI is written %2F`)
  }
  if (isStandalone) {
    if (head === '') throw new SheepfsError('invalid', `source "${text}" names no host: ${EXPECTED}`)
    return { kind: 'standalone', text, addresses: head, volume }
  }
  if (!isInstanceName(head)) {
    throw new SheepfsError('invalid', `source "${text}": "${head}" is not the name of an instance: ${EXPECTED}`)
  }
  return { kind: 'instance', text, instance: head, volume }
}
