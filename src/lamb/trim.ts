import { SD_HEADER_SIZE } from '../wire/sd-proto.ts'
import { bytesOf, type Block } from './slabs.ts'

const PIECE = 4096
const ZEROS = Buffer.alloc(PIECE)

/**
 * Cuts zero blocks from the payload's head and tail, as sheep 0.5.2 to 0.7 do (docs/sheepdog-protocol.md#1.8): whole
 * blocks counted from the payload's start, then the odd rest at the end and whole blocks. What is left moves up behind
 * the header; `offset` is the number of bytes cut from the head.
 */
export function trimZeros(block: Block): { block: Block; offset: number } {
  const payload = bytesOf(block).subarray(SD_HEADER_SIZE)
  let start = 0
  let end = payload.length
  while (end - start >= PIECE && isZero(payload.subarray(start, start + PIECE))) start += PIECE
  while (end - start >= PIECE) {
    const piece = end % PIECE || PIECE
    if (!isZero(payload.subarray(end - piece, end))) break
    end -= piece
  }
  payload.copyWithin(0, start, end)
  return { block: { ...block, length: SD_HEADER_SIZE + end - start }, offset: start }
}

function isZero(bytes: Uint8Array): boolean {
  return ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0
}
