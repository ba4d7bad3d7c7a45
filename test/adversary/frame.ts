/** A message as it goes over the channel between a supervisor and a worker, written apart from the program under test. */
export function frame(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  const header = Buffer.alloc(4)
  header.writeUInt32LE(body.length)
  return Buffer.concat([header, body])
}
