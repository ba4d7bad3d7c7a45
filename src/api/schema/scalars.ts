import { Type } from 'typebox'

/*
 * Every description is a noun phrase that says what is valid: it is the text of the OpenAPI page and what an error message
 * gives after "expected".
 */

export const Name = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$',
  description: 'a name of up to 64 letters, digits, "_", "." and "-" that starts with a letter or digit',
})

export const AbsolutePath = Type.String({ pattern: '^/', description: 'an absolute path' })

export const VolumeNameText = Type.String({
  minLength: 1,
  description: 'VDI, VDI@TAG or VDI@ID; "/", "%", "@" and control characters within a name written as %XX',
})

export const SheepAddress = Type.String({
  minLength: 1,
  description: 'host:port, or [address]:port for IPv6; without a port 7000 is meant',
})

export const SheepAddresses = Type.Array(SheepAddress, {
  minItems: 1,
  description: 'a list of the addresses of one or more sheep of one cluster, best first',
})

const ioTimeout = [Type.Literal('forever'), Type.Number({ minimum: 0, maximum: 2_000_000 })] as const
const ioTimeoutText =
  '"forever", or the seconds (0 to 2000000) after which I/O fails when no sheep answers; a stop waits 5 s at most'

export const IoTimeout = Type.Union([...ioTimeout], { description: ioTimeoutText })
export const IoTimeoutDefaulted = Type.Union([...ioTimeout], { description: ioTimeoutText, default: 'forever' })

export const Bytes = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'a number of bytes' })

export const Count = Type.Integer({ minimum: 0, description: 'a count' })

export const Time = Type.String({ description: 'a time in UTC, ISO 8601' })

export const Vid = Type.String({ pattern: '^[0-9a-f]{1,6}$', description: "a VDI's id in the cluster, hexadecimal" })
