import { Type } from 'typebox'
import type { App } from '../app.ts'
import { ClusterInfo, Node } from '../schema/cluster.ts'
import { VolumeNameText } from '../schema/scalars.ts'
import { CloneCreate, Resize, Rollback, SnapshotCreate, Vdi, VdiCreate, VdiInfo } from '../schema/vdi.ts'
import type { Looks, VdiManagement } from '../supervisor.ts'
import { callerOf } from '../caller.ts'
import { answers, MountParams, NoContent, WaitQuery } from './answers.ts'

const querystring = WaitQuery
const VdiParams = Type.Object({ ...MountParams.properties, vdi: VolumeNameText })

/** GET of the cluster behind a mount. */
export function addVdiReads(app: App, supervisor: Looks): void {
  const params = MountParams
  app.get(
    '/v1/mounts/:mount/cluster',
    {
      schema: {
        operationId: 'cluster',
        summary: 'the state of its cluster',
        params,
        querystring,
        response: answers({ 200: ClusterInfo }),
      },
    },
    (request, reply) => supervisor.cluster(request.params.mount, callerOf(request.query, reply)),
  )
  app.get(
    '/v1/mounts/:mount/nodes',
    {
      schema: {
        operationId: 'nodes',
        summary: 'the sheep of its cluster',
        params,
        querystring,
        response: answers({ 200: Type.Array(Node) }),
      },
    },
    (request, reply) => supervisor.nodes(request.params.mount, callerOf(request.query, reply)),
  )
  app.get(
    '/v1/mounts/:mount/vdis',
    {
      schema: {
        operationId: 'vdis',
        summary: 'the VDIs of its cluster',
        params,
        querystring,
        response: answers({ 200: Type.Array(Vdi) }),
      },
    },
    (request, reply) => supervisor.vdis(request.params.mount, callerOf(request.query, reply)),
  )
  app.get(
    '/v1/mounts/:mount/vdis/:vdi',
    {
      schema: {
        operationId: 'vdi',
        summary: 'a VDI or a snapshot',
        params: VdiParams,
        querystring,
        response: answers({ 200: VdiInfo }),
      },
    },
    ({ params, query }, reply) => supervisor.vdi(params.mount, params.vdi, callerOf(query, reply)),
  )
}

/** Changes of the VDIs of a cluster. */
export function addVdiChanges(app: App, supervisor: VdiManagement): void {
  app.post(
    '/v1/mounts/:mount/vdis',
    {
      schema: {
        operationId: 'createVdi',
        summary: 'creates a VDI',
        params: MountParams,
        querystring,
        body: VdiCreate,
        response: answers({ 201: Vdi }),
      },
    },
    async ({ params, query, body }, reply) =>
      reply.code(201).send(await supervisor.createVdi(params.mount, body, callerOf(query, reply))),
  )
  app.delete(
    '/v1/mounts/:mount/vdis/:vdi',
    {
      schema: {
        operationId: 'deleteVdi',
        summary: 'deletes a VDI or a snapshot; answers when it is gone, events tell the progress',
        params: VdiParams,
        querystring,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await supervisor.deleteVdi(request.params.mount, request.params.vdi, callerOf(request.query, reply))
      return reply.code(204).send(null)
    },
  )
  app.post(
    '/v1/mounts/:mount/vdis/:vdi/snapshots',
    {
      schema: {
        operationId: 'snapshotVdi',
        summary: 'makes a snapshot',
        params: VdiParams,
        querystring,
        body: SnapshotCreate,
        response: answers({ 201: Vdi }),
      },
    },
    async ({ params, query, body }, reply) =>
      reply.code(201).send(await supervisor.snapshotVdi(params.mount, params.vdi, body, callerOf(query, reply))),
  )
  app.post(
    '/v1/mounts/:mount/vdis/:vdi/clone',
    {
      schema: {
        operationId: 'cloneVdi',
        summary: 'makes a VDI of a snapshot',
        params: VdiParams,
        querystring,
        body: CloneCreate,
        response: answers({ 201: Vdi }),
      },
    },
    async ({ params, query, body }, reply) =>
      reply.code(201).send(await supervisor.cloneVdi(params.mount, params.vdi, body, callerOf(query, reply))),
  )
  app.post(
    '/v1/mounts/:mount/vdis/:vdi/rollback',
    {
      schema: {
        operationId: 'rollbackVdi',
        summary: 'goes back to a snapshot; what the VDI had is kept as another; 409 while it is attached or locked',
        params: VdiParams,
        querystring,
        response: answers({ 200: Rollback }),
      },
    },
    ({ params, query }, reply) => supervisor.rollbackVdi(params.mount, params.vdi, callerOf(query, reply)),
  )
  app.post(
    '/v1/mounts/:mount/vdis/:vdi/resize',
    {
      schema: {
        operationId: 'resizeVdi',
        summary: 'grows a VDI',
        params: VdiParams,
        querystring,
        body: Resize,
        response: answers({ 200: Vdi }),
      },
    },
    ({ params, query, body }, reply) => supervisor.resizeVdi(params.mount, params.vdi, body, callerOf(query, reply)),
  )
}
