import { Type } from 'typebox'
import type { App } from '../app.ts'
import { callerOf } from '../caller.ts'
import { Device, DevicePut } from '../schema/device.ts'
import { VolumeNameText } from '../schema/scalars.ts'
import type { Looks, Supervisor } from '../supervisor.ts'
import { answers, MountParams, NoContent, WaitQuery } from './answers.ts'

const querystring = WaitQuery
const DeviceParams = Type.Object({ ...MountParams.properties, volume: VolumeNameText })

/** GET of the mapped volumes. */
export function addDeviceReads(app: App, supervisor: Looks): void {
  app.get(
    '/v1/mounts/:mount/devices',
    {
      schema: {
        operationId: 'devices',
        summary: 'volumes that are mapped to block devices',
        params: MountParams,
        response: answers({ 200: Type.Array(Device) }),
      },
    },
    (request) => supervisor.devices(request.params.mount),
  )
  app.get(
    '/v1/mounts/:mount/devices/:volume',
    {
      schema: {
        operationId: 'device',
        summary: 'the block device of a volume',
        params: DeviceParams,
        response: answers({ 200: Device }),
      },
    },
    ({ params }) => supervisor.device(params.mount, params.volume),
  )
}

/** Mapping and unmapping. */
export function addDeviceChanges(app: App, supervisor: Supervisor): void {
  app.put(
    '/v1/mounts/:mount/devices/:volume',
    {
      schema: {
        operationId: 'mapVolume',
        summary: 'maps a volume to a block device, and attaches it for that; 200 when it was mapped already',
        params: DeviceParams,
        querystring,
        body: DevicePut,
        response: answers({ 200: Device, 201: Device }),
      },
    },
    async (request, reply) => {
      const { mount, volume } = request.params
      const { device, isNew } = await supervisor.map(mount, volume, request.body, callerOf(request.query, reply))
      return reply.code(isNew ? 201 : 200).send(device)
    },
  )
  app.delete(
    '/v1/mounts/:mount/devices/:volume',
    {
      schema: {
        operationId: 'unmapVolume',
        summary: 'flushes a block device and takes it away; 409 while it is in use, by whom is said',
        params: DeviceParams,
        querystring,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const { mount, volume } = request.params
      await supervisor.unmap(mount, volume, callerOf(request.query, reply))
      return reply.code(204).send(null)
    },
  )
}
