import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** One exchange captured from a real sheep; payloads over 4096 bytes are known by length and hash only. */
export interface Vector {
  readonly seq: number
  readonly name: string
  readonly request: Buffer
  readonly requestPayload: Buffer | undefined
  readonly response: Buffer
  readonly responsePayload: Buffer | undefined
  readonly responsePayloadLength: number
  readonly responsePayloadSha256: string | undefined
}

interface VectorFile {
  readonly seq: number
  readonly name: string
  readonly request_hex: string
  readonly request_payload_length: number
  readonly response_hex: string
  readonly response_payload_length: number
  readonly response_payload_sha256?: string
}

const DIRECTORY = join(import.meta.dirname, '../../../test/vectors')
const HEADER = 48

/** The vectors from `first` to `last`, in order. */
export function readVectors(first: number, last: number): Vector[] {
  return readdirSync(DIRECTORY)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(DIRECTORY, name), 'utf8')) as VectorFile)
    .filter(({ seq }) => seq >= first && seq <= last)
    .sort((a, b) => a.seq - b.seq)
    .map(toVector)
}

function toVector(file: VectorFile): Vector {
  const request = Buffer.from(file.request_hex, 'hex')
  const response = Buffer.from(file.response_hex, 'hex')
  const isWhole = (bytes: Buffer, length: number): boolean => bytes.length === HEADER + length
  return {
    seq: file.seq,
    name: file.name,
    request: request.subarray(0, HEADER),
    requestPayload: isWhole(request, file.request_payload_length) ? request.subarray(HEADER) : undefined,
    response: response.subarray(0, HEADER),
    responsePayload: isWhole(response, file.response_payload_length) ? response.subarray(HEADER) : undefined,
    responsePayloadLength: file.response_payload_length,
    responsePayloadSha256: file.response_payload_sha256,
  }
}
