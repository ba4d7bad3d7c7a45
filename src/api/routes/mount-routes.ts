import { Type } from 'typebox'
import type { App } from '../app.ts'
import { MountInput } from '../schema/config.ts'
import { Cache, CachePatch, Mount, MountPatch, Sheep, SheepPut } from '../schema/mount.ts'
import { Reload } from '../schema/reload.ts'
import type { Looks, Supervisor } from '../supervisor.ts'
import { callerOf } from '../caller.ts'
import { answers, DryRunQuery, ForceQuery, MountParams, NoContent, WaitQuery } from './answers.ts'

const params = MountParams
const querystring = WaitQuery

/** GET of mounts, their caches and sheep. */
export function addMountReads(app: App, supervisor: Looks): void {
  app.get(
    '/v1/mounts',
    { schema: { operationId: 'mounts', summary: 'all mounts', response: answers({ 200: Type.Array(Mount) }) } },
    () => supervisor.mounts(),
  )
  app.get(
    '/v1/mounts/:mount',
    { schema: { operationId: 'mount', summary: 'a mount', params, response: answers({ 200: Mount }) } },
    (request) => supervisor.mount(request.params.mount),
  )
  app.get(
    '/v1/mounts/:mount/cache',
    { schema: { operationId: 'cache', summary: 'its caches', params, querystring, response: answers({ 200: Cache }) } },
    (request, reply) => supervisor.cache(request.params.mount, callerOf(request.query, reply)),
  )
  app.get(
    '/v1/mounts/:mount/sheep',
    { schema: { operationId: 'sheep', summary: 'its sheep', params, response: answers({ 200: Sheep }) } },
    (request) => supervisor.sheep(request.params.mount),
  )
}

/** Changes of mounts, their caches and sheep. */
export function addMountChanges(app: App, supervisor: Supervisor): void {
  app.post(
    '/v1/reload',
    {
      schema: {
        operationId: 'reload',
        summary: 'applies what is different in the configuration, or nothing',
        querystring: DryRunQuery,
        response: answers({ 200: Reload }),
      },
    },
    ({ query }) => supervisor.reload({ isDryRun: query.dry_run === true }),
  )
  app.post(
    '/v1/mounts',
    {
      schema: {
        operationId: 'addMount',
        summary: 'mounts another cluster',
        querystring,
        body: MountInput,
        response: answers({ 201: Mount }),
      },
    },
    async (request, reply) => {
      const mount = await supervisor.addMount(request.body, callerOf(request.query, reply))
      return reply
        .code(201)
        .header('location', `/v1/mounts/${encodeURIComponent(mount.name)}`)
        .send(mount)
    },
  )
  app.patch(
    '/v1/mounts/:mount',
    {
      schema: {
        operationId: 'patchMount',
        summary: 'changes its io_timeout',
        params,
        querystring,
        body: MountPatch,
        response: answers({ 200: Mount }),
      },
    },
    (request, reply) => supervisor.patchMount(request.params.mount, request.body, callerOf(request.query, reply)),
  )
  app.delete(
    '/v1/mounts/:mount',
    {
      schema: {
        operationId: 'removeMount',
        summary: 'unmounts; 409 while files are open',
        params,
        querystring: ForceQuery,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await supervisor.removeMount(request.params.mount, { force: request.query.force ?? false })
      return reply.code(204).send(null)
    },
  )
  app.post(
    '/v1/mounts/:mount/restart',
    {
      schema: {
        operationId: 'restartMount',
        summary: 'a new worker under the running mount; one that somebody has unmounted is mounted again',
        params,
        querystring,
        response: answers({ 200: Mount }),
      },
    },
    (request, reply) => supervisor.restartMount(request.params.mount, callerOf(request.query, reply)),
  )
  app.patch(
    '/v1/mounts/:mount/cache',
    {
      schema: {
        operationId: 'patchCache',
        summary: 'switches caches; the page cache for files that are opened afterwards',
        params,
        querystring,
        body: CachePatch,
        response: answers({ 200: Cache }),
      },
    },
    (request, reply) => supervisor.patchCache(request.params.mount, request.body, callerOf(request.query, reply)),
  )
  app.put(
    '/v1/mounts/:mount/sheep',
    {
      schema: {
        operationId: 'putSheep',
        summary: 'uses other sheep from now on',
        params,
        querystring,
        body: SheepPut,
        response: answers({ 200: Sheep }),
      },
    },
    (request, reply) => supervisor.putSheep(request.params.mount, request.body, callerOf(request.query, reply)),
  )
}
