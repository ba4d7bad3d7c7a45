import { fastify, LogController } from 'fastify'
import type { FastifyInstance, FastifySchema, FastifyTypeProvider, RawServerDefault } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Type, type Static, type TSchema } from 'typebox'
import type { Logger } from '../log.ts'
import { Clients, type LongRequest } from './clients.ts'
import { httpProblem, Overloaded, toProblem } from './problem.ts'
import { renderedOnce } from './rendered-once.ts'
import { requestCheck } from './request-check.ts'
import { RouteMethods } from './route-methods.ts'
import type { SocketLimits } from './socket-limits.ts'

/** Types of requests and answers are those of their schemas. */
interface SchemaTypes extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, Logger, SchemaTypes>

const PROBLEM_TYPE = 'application/problem+json'
/** Far above any request. */
const BODY_LIMIT = 256 * 1024
/** Of a route that has none: what is misspelt would do nothing, and nobody would know. */
const NoQuery = Type.Object({}, { additionalProperties: false })
/** A volume's name has up to 255 bytes, three characters each when percent-encoded. */
const LONGEST_PARAMETER = 1024

/** What can be told to wait for a cluster may have to. */
function longRequest({ operationId, querystring }: FastifySchema = {}): LongRequest | undefined {
  if (operationId === 'events') return 'streams'
  const { properties = {} } = (querystring ?? {}) as { readonly properties?: object }
  return 'wait' in properties ? 'waiting' : undefined
}

/** An application without routes: checks requests by their schemas and answers every error as a problem. */
export function newApp(log: Logger, limits: SocketLimits): App {
  const clients = new Clients(limits)
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    serverFactory: (handle) => clients.newServer(handle),
    routerOptions: { maxParamLength: LONGEST_PARAMETER },
  }).withTypeProvider<SchemaTypes>()
  app.addHook('preHandler', async (request, reply) => {
    await clients.admit(request.raw, longRequest(request.routeOptions.schema))
    if (reply.raw.destroyed) reply.hijack() // he went while he waited for his turn
  })
  app.addHook('onSend', (request, _, payload, done) => {
    clients.answer(request.raw)
    done(null, payload)
  })
  app.setValidatorCompiler<TSchema>(requestCheck)
  // answers are made by typed code, so there is nothing to filter; fastify sends bytes as they are
  const toJson = renderedOnce((value: object) => Buffer.from(JSON.stringify(value)) as Buffer & string)
  app.setSerializerCompiler(
    () => (data: unknown) => (typeof data === 'object' && data !== null ? toJson(data) : JSON.stringify(data)),
  )
  app.setErrorHandler(async (error, request, reply) => {
    const problem = toProblem(error)
    if (problem.code === 'internal')
      request.log.error({ err: error, url: request.url }, 'a defect in sheepfs: the request fails')
    else request.log.info({ method: request.method, url: request.url, code: problem.code }, problem.detail)
    if (error instanceof Overloaded) reply.header('retry-after', '1')
    return reply.code(problem.status).type(PROBLEM_TYPE).send(problem)
  })
  const routeMethods = new RouteMethods()
  app.addHook('onRoute', (route) => {
    routeMethods.add(route)
    route.schema = { querystring: NoQuery, ...route.schema }
  })
  app.setNotFoundHandler(async (request, reply) => {
    const allowed = routeMethods.of(request.url)
    if (allowed.length > 0) reply.header('allow', allowed.join(', '))
    const problem =
      allowed.length > 0
        ? httpProblem(405, `${request.method} is not possible here: expected ${allowed.join(' or ')}`)
        : httpProblem(404, `there is no ${request.url}: GET /openapi.json lists what there is`)
    return reply.code(problem.status).type(PROBLEM_TYPE).send(problem)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const level = request.method === 'GET' ? 'debug' : 'info'
    request.log[level](
      { method: request.method, url: request.url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'answered',
    )
    done()
  })
  return app
}
