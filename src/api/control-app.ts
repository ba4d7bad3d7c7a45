import swagger from '@fastify/swagger'
import type { Logger } from '../log.ts'
import { type App, newApp } from './app.ts'
import { addDeviceChanges, addDeviceReads } from './routes/device-routes.ts'
import { addEventRoutes } from './routes/event-routes.ts'
import { addLookRoutes } from './routes/look-routes.ts'
import { addMountChanges, addMountReads } from './routes/mount-routes.ts'
import { addVdiChanges, addVdiReads } from './routes/vdi-routes.ts'
import { addVolumeChanges, addVolumeReads } from './routes/volume-routes.ts'
import type { Supervisor } from './supervisor.ts'

export interface AppOptions {
  readonly supervisor: Supervisor
  readonly log: Logger
  /** Version of the program, for the OpenAPI page. */
  readonly version: string
  /** Pause between the signs of life of an event stream, ms. */
  readonly heartbeatMs?: number
}

/** The control API, without a port: `listenUnix` opens one, tests `inject`. */
export async function buildControlApp(options: AppOptions): Promise<App> {
  const app = await buildObserverRoutes(options, 'sheepfs control API')
  const { supervisor } = options
  addMountChanges(app, supervisor)
  addVolumeChanges(app, supervisor)
  addDeviceChanges(app, supervisor)
  addVdiChanges(app, supervisor)
  await app.ready()
  return app
}

/** What of it only looks, for the socket that everybody may use. */
export async function buildObserverApp(options: AppOptions): Promise<App> {
  const app = await buildObserverRoutes(options, 'sheepfs observer API')
  await app.ready()
  return app
}

async function buildObserverRoutes({ supervisor, log, version, heartbeatMs }: AppOptions, title: string): Promise<App> {
  const app = newApp(log)
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title, version } } })
  addLookRoutes(app, supervisor, version)
  addEventRoutes(app, supervisor, heartbeatMs)
  addMountReads(app, supervisor)
  addVolumeReads(app, supervisor)
  addDeviceReads(app, supervisor)
  addVdiReads(app, supervisor)
  return app
}
