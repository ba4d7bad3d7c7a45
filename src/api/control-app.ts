import swagger from '@fastify/swagger'
import type { Logger } from '../log.ts'
import { type App, newApp } from './app.ts'
import { ObserverView } from './observer-view.ts'
import { addDeviceChanges, addDeviceReads } from './routes/device-routes.ts'
import { addEventRoutes } from './routes/event-routes.ts'
import { addLookRoutes } from './routes/look-routes.ts'
import { addMountChanges, addMountReads } from './routes/mount-routes.ts'
import { addVdiChanges, addVdiReads } from './routes/vdi-routes.ts'
import { addVolumeChanges, addVolumeReads } from './routes/volume-routes.ts'
import { CONTROL_LIMITS, limitsWithin, OBSERVER_LIMITS, type SocketLimits } from './socket-limits.ts'
import type { Looks, Supervisor } from './supervisor.ts'

export interface AppOptions {
  readonly supervisor: Supervisor
  readonly log: Logger
  /** Version of the program, for the OpenAPI page. */
  readonly version: string
  /** Pause between the signs of life of an event stream, ms. */
  readonly heartbeatMs?: number
  /** Descriptors that its clients may take; without it as many as the socket allows. */
  readonly connections?: number
  /** Other limits than those of the socket. */
  readonly limits?: Partial<SocketLimits>
}

/** The control API, without a port: `listenUnix` opens one, tests `inject`. */
export async function buildControlApp(options: AppOptions): Promise<App> {
  const { supervisor } = options
  const app = await buildLooks(options, { title: 'sheepfs control API', view: supervisor, own: CONTROL_LIMITS })
  addMountChanges(app, supervisor)
  addVolumeChanges(app, supervisor)
  addDeviceChanges(app, supervisor)
  addVdiChanges(app, supervisor)
  await app.ready()
  return app
}

/** What of it only looks, for the socket that everybody may use. */
export async function buildObserverApp(options: AppOptions): Promise<App> {
  const view = new ObserverView(options.supervisor)
  const app = await buildLooks(options, { title: 'sheepfs observer API', view, own: OBSERVER_LIMITS })
  await app.ready()
  return app
}

async function buildLooks(
  { log, version, heartbeatMs, connections = Infinity, limits: given }: AppOptions,
  { title, view, own }: { readonly title: string; readonly view: Looks; readonly own: SocketLimits },
): Promise<App> {
  const app = newApp(log, { ...limitsWithin(own, connections), ...given })
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title, version } } })
  addLookRoutes(app, view, version)
  addEventRoutes(app, view, heartbeatMs)
  addMountReads(app, view)
  addVolumeReads(app, view)
  addDeviceReads(app, view)
  addVdiReads(app, view)
  return app
}
