import { fastify, LogController } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifySchema, FastifyTypeProvider, RawServerDefault } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Type, type Static, type TSchema } from 'typebox'
import { SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { Clients, type LongRequest } from './clients.ts'
import { httpProblem, Overloaded, PROBLEM_TYPE, toProblem } from './problem.ts'
import { renderedOnce } from './rendered-once.ts'
import { requestCheck } from './request-check.ts'
import { RouteMethods } from './route-methods.ts'
import type { Problem } from './schema/problem.ts'
import type { SocketLimits } from './socket-limits.ts'

/** Types of requests and answers are those of their schemas. */
interface SchemaTypes extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, Logger, SchemaTypes>

/** Far above any request. */
const BODY_LIMIT = 256 * 1024
/** Of a route that has none: what is misspelt would do nothing, and nobody would know. */
const NoQuery = Type.Object({}, { additionalProperties: false })
/** A volume's name has up to 255 bytes, three characters each when percent-encoded. */
const LONGEST_PARAMETER = 1024

type Answering = Pick<FastifyReply, 'code' | 'type' | 'send'>

function sendProblem(reply: Answering, problem: Problem): Answering {
  reply.code(problem.status).type(PROBLEM_TYPE).send(problem)
  return reply
}

/** A path that no route could be looked for with. */
function routingError(code: string): SheepfsError {
  if (code === 'FST_ERR_MAX_PARAM_LENGTH')
    return new SheepfsError('name-too-long', `a name in the path has more than ${LONGEST_PARAMETER} characters`)
  return new SheepfsError('invalid', 'the path cannot be decoded: expected UTF-8, percent-encoded')
}

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
    clientErrorHandler: (error, socket) => {
      clients.refuse(socket, error)
    },
    frameworkErrors: (error, _, reply) => {
      sendProblem(reply, toProblem(routingError(error.code)))
    },
    return503OnClosing: false,
    routerOptions: { maxParamLength: LONGEST_PARAMETER },
  }).withTypeProvider<SchemaTypes>()
  let isClosing = false
  app.addHook('preClose', () => {
    isClosing = true
    return Promise.resolve()
  })
  app.addHook('onRequest', ({ raw }, _, done) => {
    if (isClosing) done(new SheepfsError('closed', 'the daemon is ending, and takes no requests any more'))
    else if (raw.httpVersion === '1.1' && raw.headers.host === undefined)
      done(new SheepfsError('invalid', 'there is no Host header: expected one, of whatever value'))
    else done()
  })
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
    return sendProblem(reply, problem)
  })
  const routeMethods = new RouteMethods()
  app.addHook('onRoute', (route) => {
    routeMethods.add(route)
    route.schema = { querystring: NoQuery, ...route.schema }
  })
  app.setNotFoundHandler(async (request, reply) => {
    const { method, url } = request
    const allowed = routeMethods.of(url)
    if (allowed.length === 0) {
      return sendProblem(reply, httpProblem(404, `there is no ${url}: GET /openapi.json lists what there is`))
    }
    const expected = allowed.filter((name) => name !== 'HEAD').join(' or ')
    reply.header('allow', allowed.join(', '))
    return sendProblem(reply, httpProblem(405, `${method} is not possible here: expected ${expected}`))
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
