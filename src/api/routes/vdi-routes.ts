import { Type } from 'typebox'
import type { App } from '../app.ts'
import { ClusterInfo, Node } from '../schema/cluster.ts'
import { VolumeNameText } from '../schema/scalars.ts'
import { CloneCreate, Resize, SnapshotCreate, Vdi, VdiCreate } from '../schema/vdi.ts'
import type { VdiManagement } from '../supervisor.ts'
import { answers, MountParams, NoContent } from './answers.ts'

const VdiParams = Type.Object({ ...MountParams.properties, vdi: VolumeNameText })

/** GET of the cluster behind a mount. */
export function addVdiReads(app: App, supervisor: VdiManagement): void {
  const params = MountParams
  app.get(
    '/v1/mounts/:mount/cluster',
    { schema: { summary: 'the state of its cluster', params, response: answers({ 200: ClusterInfo }) } },
    (request) => supervisor.cluster(request.params.mount),
  )
  app.get(
    '/v1/mounts/:mount/nodes',
    { schema: { summary: 'the sheep of its cluster', params, response: answers({ 200: Type.Array(Node) }) } },
    (request) => supervisor.nodes(request.params.mount),
  )
  app.get(
    '/v1/mounts/:mount/vdis',
    { schema: { summary: 'the VDIs of its cluster', params, response: answers({ 200: Type.Array(Vdi) }) } },
    (request) => supervisor.vdis(request.params.mount),
  )
}

/** Changes of the VDIs of a cluster. */
export function addVdiChanges(app: App, supervisor: VdiManagement): void {
  app.post(
    '/v1/mounts/:mount/vdis',
    { schema: { summary: 'creates a VDI', params: MountParams, body: VdiCreate, response: answers({ 201: Vdi }) } },
    async (request, reply) => reply.code(201).send(await supervisor.createVdi(request.params.mount, request.body)),
  )
  app.delete(
    '/v1/mounts/:mount/vdis/:vdi',
    {
      schema: {
        summary: 'deletes a VDI or a snapshot; answers when it is gone, events tell the progress',
        params: VdiParams,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await supervisor.deleteVdi(request.params.mount, request.params.vdi)
      return reply.code(204).send(null)
    },
  )
  app.post(
    '/v1/mounts/:mount/vdis/:vdi/snapshots',
    {
      schema: { summary: 'makes a snapshot', params: VdiParams, body: SnapshotCreate, response: answers({ 201: Vdi }) },
    },
    async ({ params, body }, reply) =>
      reply.code(201).send(await supervisor.snapshotVdi(params.mount, params.vdi, body)),
  )
  app.post(
    '/v1/mounts/:mount/vdis/:vdi/clone',
    {
      schema: {
        summary: 'makes a VDI of a snapshot',
        params: VdiParams,
        body: CloneCreate,
        response: answers({ 201: Vdi }),
      },
    },
    async ({ params, body }, reply) => reply.code(201).send(await supervisor.cloneVdi(params.mount, params.vdi, body)),
  )
  app.post(
    '/v1/mounts/:mount/vdis/:vdi/resize',
    { schema: { summary: 'grows a VDI', params: VdiParams, body: Resize, response: answers({ 200: Vdi }) } },
    ({ params, body }) => supervisor.resizeVdi(params.mount, params.vdi, body),
  )
}
