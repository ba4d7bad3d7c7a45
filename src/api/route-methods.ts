import type { RouteOptions } from 'fastify'

/** Which methods the paths of an application can be asked with. */
export class RouteMethods {
  readonly #routes = new Map<string, { pattern: RegExp; methods: Set<string> }>()

  /** Takes note of a route of the application. */
  add({ url, method }: Pick<RouteOptions, 'url' | 'method'>): void {
    const pattern = new RegExp(`^${url.replace(/[.]/g, '\\.').replace(/:[^/]+/g, '[^/]+')}$`)
    const route = this.#routes.get(url) ?? { pattern, methods: new Set() }
    for (const name of [method].flat()) route.methods.add(name)
    this.#routes.set(url, route)
  }

  /** Those of the path of a URL: none when there is no such path. */
  of(url: string): string[] {
    const path = url.replace(/[?#].*$/, '')
    const routes = [...this.#routes.values()].filter(({ pattern }) => pattern.test(path))
    return [...new Set(routes.flatMap(({ methods }) => [...methods]))]
  }
}
