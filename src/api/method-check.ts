import { type App } from './app.ts'

/**
 * Collects the routes that are added to `app` from now on. The function returned gives the methods that the path of a URL
 * can be asked with: none when there is no such path.
 */
export function addressedElsewhere(app: App): (url: string) => string[] {
  const methodsOf = new Map<string, { pattern: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(`^${url.replace(/[.]/g, '\\.').replace(/:[^/]+/g, '[^/]+')}$`)
    const route = methodsOf.get(url) ?? { pattern, methods: new Set() }
    for (const name of [method].flat()) if (name !== 'HEAD') route.methods.add(name)
    methodsOf.set(url, route)
  })
  return (url) => {
    const path = url.replace(/[?#].*$/, '')
    const routes = [...methodsOf.values()].filter(({ pattern }) => pattern.test(path))
    return [...new Set(routes.flatMap(({ methods }) => [...methods]))]
  }
}
