import { Type } from 'typebox'
import type { App } from '../app.ts'
import { VolumeNameText } from '../schema/scalars.ts'
import { Volume, VolumePut } from '../schema/volume.ts'
import type { Looks, Supervisor } from '../supervisor.ts'
import { callerOf } from '../caller.ts'
import { answers, DetachQuery, MountParams, NoContent, WaitQuery } from './answers.ts'

const querystring = WaitQuery
const VolumeParams = Type.Object({ ...MountParams.properties, volume: VolumeNameText })

/** GET of the attached volumes. */
export function addVolumeReads(app: App, supervisor: Looks): void {
  app.get(
    '/v1/mounts/:mount/volumes',
    {
      schema: {
        operationId: 'volumes',
        summary: 'attached volumes',
        params: MountParams,
        querystring,
        response: answers({ 200: Type.Array(Volume) }),
      },
    },
    (request, reply) => supervisor.volumes(request.params.mount, callerOf(request.query, reply)),
  )
  app.get(
    '/v1/mounts/:mount/volumes/:volume',
    {
      schema: {
        operationId: 'volume',
        summary: 'an attached volume',
        params: VolumeParams,
        querystring,
        response: answers({ 200: Volume }),
      },
    },
    ({ params, query }, reply) => supervisor.volume(params.mount, params.volume, callerOf(query, reply)),
  )
}

/** Attaching and detaching. */
export function addVolumeChanges(app: App, supervisor: Supervisor): void {
  app.put(
    '/v1/mounts/:mount/volumes/:volume',
    {
      schema: {
        operationId: 'attach',
        summary: 'attaches a volume; 200 when it was attached already',
        params: VolumeParams,
        querystring,
        body: VolumePut,
        response: answers({ 200: Volume, 201: Volume }),
      },
    },
    async (request, reply) => {
      const { mount, volume: name } = request.params
      const { volume, isNew } = await supervisor.attach(mount, name, request.body, callerOf(request.query, reply))
      return reply.code(isNew ? 201 : 200).send(volume)
    },
  )
  app.delete(
    '/v1/mounts/:mount/volumes/:volume',
    {
      schema: {
        operationId: 'detach',
        summary: 'detaches a volume; 409 while it is open',
        params: VolumeParams,
        querystring: DetachQuery,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const { mount, volume } = request.params
      const { force = false, temporary = false } = request.query
      await supervisor.detach(mount, volume, { force, temporary }, callerOf(request.query, reply))
      return reply.code(204).send(null)
    },
  )
}
