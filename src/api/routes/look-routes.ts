import { Type } from 'typebox'
import type { App } from '../app.ts'
import { healthOf } from '../health.ts'
import type { MountMetrics } from '../mount-metrics.ts'
import { openApiPage } from '../openapi.ts'
import { presentCounters } from '../present-counters.ts'
import { renderedOnce } from '../rendered-once.ts'
import { Counters } from '../schema/counters.ts'
import { Health, Status } from '../schema/status.ts'
import type { Looks } from '../supervisor.ts'
import { answers } from './answers.ts'

/** GET /v1/status, /v1/health, /v1/counters, /metrics and /openapi.json. */
export function addLookRoutes(app: App, supervisor: Looks, version: string): void {
  app.get(
    '/v1/status',
    { schema: { operationId: 'status', summary: 'the instance and its mounts', response: answers({ 200: Status }) } },
    () => supervisor.status(),
  )
  app.get(
    '/v1/health',
    {
      schema: {
        operationId: 'health',
        summary:
          '200 while every mount serves or waits for its cluster, 503 until all do and when one cannot be served',
        response: answers({ 200: Health, 503: Health }),
      },
    },
    async (_, reply) => {
      const health = healthOf(await supervisor.status())
      return reply.code(health.status === 'failed' || health.status === 'starting' ? 503 : 200).send(health)
    },
  )
  addMetricsRoute(app, supervisor, version)
  const present = renderedOnce(presentCounters)
  app.get(
    '/v1/counters',
    {
      schema: {
        operationId: 'counters',
        summary: 'what is counted of requests, of each mount and each attached volume',
        response: answers({ 200: Counters }),
      },
    },
    async () => present(await supervisor.metrics()),
  )
  let page: object | undefined
  app.get('/openapi.json', { schema: { hide: true } }, () => (page ??= openApiPage(app.swagger())))
}

/** GET /metrics. */
export function addMetricsRoute(app: App, supervisor: Pick<Looks, 'metrics'>, version: string): void {
  const render = renderedOnce(async (metrics: readonly MountMetrics[]) => {
    const { METRICS_TYPE, renderMetrics } = await import('../metrics.ts') // 5 MB for who is never asked
    return { type: METRICS_TYPE, text: await renderMetrics(metrics, version) }
  })
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        summary: 'what is measured, as Prometheus reads it',
        response: { 200: Type.String() },
      },
    },
    async (_, reply) => {
      const { type, text } = await render(await supervisor.metrics())
      return reply.type(type).send(text)
    },
  )
}
