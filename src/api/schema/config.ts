import { Type, type Static } from 'typebox'
import { AbsolutePath, IoTimeoutDefaulted, Name, SheepAddresses, VolumeNameText } from './scalars.ts'

/** Names of the engines; the daemon proves that they are those of `fuse/engine.ts`. */
export const EngineName = Type.Enum(['kernel', 'fuse-native'], { description: '"kernel" or "fuse-native"' })

/** A number, or a name that has one when the configuration is read. */
function account(what: string) {
  const number = Type.Integer({ minimum: 0, maximum: 0xffff_fffe })
  const name = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_.-]*[$]?$' })
  const description = `the name of a ${what}, or a numeric id, 0 to 4294967294`
  return Type.Union([number, name], { default: 0, description })
}

const required = {
  mountpoint: AbsolutePath,
}

const optional = {
  name: Type.Optional(Name),
  sheep: Type.Optional(SheepAddresses),
}

const defaulted = {
  engine: Type.Enum(['auto', 'kernel', 'fuse-native'], {
    default: 'auto',
    description: '"auto", "kernel" or "fuse-native"; auto is the kernel engine where it may mount',
  }),
  page_cache: flag('true or false: whether the kernel caches volume data', false),
  object_cache: flag("true or false: whether the cluster's object cache (sheepdog up to 0.9) is used", false),
  write_back: flag(
    'true or false: whether a mount made with page_cache sends writes to the cluster later; fixed while mounted',
    true,
  ),
  networks: Type.Array(
    Type.String({ minLength: 1, description: 'a network, for example "10.0.0.0/24" or "fd00::/8"' }),
    { default: [], description: 'a list of the networks that sheep may be in; none: everywhere' },
  ),
  volumes: Type.Array(VolumeNameText, { default: [], description: 'a list of the volumes that are always attached' }),
  devices: Type.Array(VolumeNameText, {
    default: [],
    description: 'a list of the volumes that are always mapped to block devices',
  }),
  allow_other: flag('true or false: whether other users than the owner get in', false),
  uid: account('user'),
  gid: account('group'),
  mode: Type.String({
    pattern: '^0?[0-7]{3}$',
    default: '0600',
    description: 'the permission bits of volume files as an octal string, for example "0640"',
  }),
  io_timeout: IoTimeoutDefaulted,
}

/** One [[mount]] of the file as it is written, and the body of POST /v1/mounts. */
export const MountInput = Type.Object(
  { ...required, ...optional, ...Type.Partial(Type.Object(defaulted)).properties },
  { additionalProperties: false, description: 'a table with the settings of a mount' },
)
export type MountInput = Static<typeof MountInput>

/** The same with defaults filled in, except those that the instance gives (name, sheep). */
export const MountDefaulted = Type.Object(
  { ...required, ...optional, ...defaulted },
  { additionalProperties: false, description: 'a table with the settings of a mount' },
)
export type MountDefaulted = Static<typeof MountDefaulted>

/** A mount with nothing left open; every address canonical (`host:port`). */
export interface MountConfig extends MountDefaulted {
  name: string
  sheep: string[]
  uid: number
  gid: number
}

/** What `metrics_listen` may be. */
export const METRICS_LISTEN_TEXT = 'an IP address and a port, for example "127.0.0.1:9717" or "[::1]:9717"'

/** The file /etc/sheepfs/INSTANCE.toml. */
export const InstanceFile = Type.Object(
  {
    sheep: Type.Optional(SheepAddresses),
    socket_group: Type.Optional(
      Type.String({ minLength: 1, description: 'the name of the group that may use the control socket' }),
    ),
    observer_socket: flag('true or false: whether a second socket, to look only, is opened', false),
    observer_group: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'the name of the group that may use the observer socket, instead of everybody',
      }),
    ),
    metrics_listen: Type.Optional(Type.String({ minLength: 1, description: METRICS_LISTEN_TEXT })),
    mount: Type.Array(MountDefaulted, { default: [], description: '[[mount]] tables' }),
  },
  { additionalProperties: false, description: 'a table with the settings of an instance' },
)
export type InstanceFile = Static<typeof InstanceFile>

/** The configuration of an instance with nothing left open. */
export interface InstanceConfig {
  /** Addresses for mounts that name none; empty when every mount has its own. */
  sheep: string[]
  /** Undefined: the group of the daemon. */
  socket_group: string | undefined
  observer_socket: boolean
  /** Undefined: everybody. */
  observer_group: string | undefined
  /** Where Prometheus reads metrics, besides the sockets. Undefined: nowhere. */
  metrics_listen: string | undefined
  mount: MountConfig[]
}

function flag(description: string, byDefault: boolean) {
  return Type.Boolean({ description, default: byDefault })
}
