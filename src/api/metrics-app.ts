import { type App, newApp } from './app.ts'
import type { AppOptions } from './control-app.ts'
import { ObserverView } from './observer-view.ts'
import { addMetricsRoute } from './routes/look-routes.ts'
import { limitsWithin, OBSERVER_LIMITS } from './socket-limits.ts'

/** What Prometheus reads over the network: GET /metrics and nothing else, as observers see it. */
export async function buildMetricsApp(options: AppOptions): Promise<App> {
  const { supervisor, log, version, connections = Infinity, limits } = options
  const app = newApp(log, { ...limitsWithin(OBSERVER_LIMITS, connections), ...limits })
  addMetricsRoute(app, new ObserverView(supervisor), version)
  await app.ready()
  return app
}
