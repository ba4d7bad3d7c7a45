import { Type } from 'typebox'
import type { App } from '../app.ts'
import { EventStream } from '../event-stream.ts'
import type { Looks } from '../supervisor.ts'
import { answers } from './answers.ts'

const DEFAULT_HEARTBEAT_MS = 15_000

const EventQuery = Type.Object(
  { mount: Type.Optional(Type.String({ description: 'the name of the mount whose events are wanted' })) },
  { additionalProperties: false },
)

/** GET /v1/events: server-sent events, until the client goes or the application closes. */
export function addEventRoutes(app: App, supervisor: Looks, heartbeatMs = DEFAULT_HEARTBEAT_MS): void {
  const streams = new Set<EventStream>()
  app.get(
    '/v1/events',
    {
      exposeHeadRoute: false, // its stream would have no reader, and no end
      schema: {
        operationId: 'events',
        summary: 'what happens, as server-sent events; the data of each is an Event',
        querystring: EventQuery,
        response: answers({ 200: Type.Unsafe<EventStream>({ type: 'string' }) }),
      },
    },
    async (request, reply) => {
      const wanted = request.query.mount
      if (wanted !== undefined) await supervisor.mount(wanted) // of one that is not there nothing would ever come
      const stream = new EventStream({
        heartbeatMs,
        subscribe: (listener) =>
          supervisor.subscribe((event) => {
            if (wanted === undefined || event.mount === undefined || event.mount === wanted) listener(event)
          }),
      })
      streams.add(stream)
      stream.once('close', () => streams.delete(stream))
      return reply.type('text/event-stream').header('cache-control', 'no-store').send(stream)
    },
  )
  app.addHook('preClose', () => {
    for (const stream of streams) stream.end()
    return Promise.resolve()
  })
}
