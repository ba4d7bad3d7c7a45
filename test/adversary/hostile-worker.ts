/*
 * The program of a worker that has been captured: it sends whatever its arguments say, which stand for the name of the mount,
 * and then lives on.
 */
process.once('message', () => {
  for (const message of JSON.parse(process.argv[2] ?? '[]') as unknown[]) process.send?.(message)
})
setInterval(() => undefined, 1000)
