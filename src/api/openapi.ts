import type { TSchema } from 'typebox'
import { ClusterInfo, Node } from './schema/cluster.ts'
import { MountInput } from './schema/config.ts'
import { Device, DevicePut } from './schema/device.ts'
import { Event } from './schema/event.ts'
import { Cache, CachePatch, Mount, MountPatch, Sheep, SheepPut, Worker } from './schema/mount.ts'
import { Problem } from './schema/problem.ts'
import { Reload, ReloadStep } from './schema/reload.ts'
import { Health, Status } from './schema/status.ts'
import { CloneCreate, Resize, Rollback, SnapshotCreate, Vdi, VdiCreate, VdiInfo } from './schema/vdi.ts'
import { Volume, VolumePut } from './schema/volume.ts'

/** What the page names: generated clients have a type of that name. */
const COMPONENTS: Readonly<Record<string, TSchema>> = {
  ...{
    CachePatch,
    Cache,
    CloneCreate,
    ClusterInfo,
    DevicePut,
    Device,
    Event,
    Health,
    MountInput,
    MountPatch,
    Mount,
    Node,
    Problem,
  },
  ...{ ReloadStep, Reload, Resize, Rollback, SheepPut, Sheep, SnapshotCreate, Status },
  ...{ Vdi, VdiCreate, VdiInfo, Volume, VolumePut, Worker },
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
type JsonObject = Readonly<Record<string, Json>>

/**
 * The OpenAPI page: that of the routes, with every schema once, below its name, and with what the routes cannot say of
 * bodies that may be left out, of answers without one, and of where the API is.
 */
export function openApiPage(document: object): object {
  const page = JSON.parse(JSON.stringify(document)) as JsonObject
  const names = new Map(Object.entries(COMPONENTS).map(([name, schema]) => [textOf(schema), name]))
  const schemas = Object.fromEntries(
    Object.entries(COMPONENTS).map(([name, schema]) => {
      const parts = Object.entries(JSON.parse(textOf(schema)) as JsonObject)
      return [name, Object.fromEntries(parts.map(([key, part]) => [key, named(part, names)]))]
    }),
  )
  const description = 'over the unix socket /run/sheepfs/INSTANCE/control.sock'
  return {
    ...page,
    servers: [{ url: 'http://localhost', description }],
    components: { schemas },
    paths: mapObjects(named(page['paths'] ?? {}, names), adjusted),
  }
}

/** The page has no "const". */
function textOf(schema: unknown): string {
  return JSON.stringify(schema, (_, value: unknown) => {
    if (value === null || typeof value !== 'object' || !('const' in value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, part]) => (key === 'const' ? ['enum', [part]] : [key, part])),
    )
  })
}

/** With a reference in place of every schema that has a name. */
function named(json: Json, names: ReadonlyMap<string, string>): Json {
  return mapObjects(json, (value) => {
    const name = names.get(textOf(value))
    return name === undefined ? value : { $ref: `#/components/schemas/${name}` }
  })
}

/** Every object replaced, from the outside to the inside. */
function mapObjects(json: Json, replace: (value: JsonObject) => JsonObject): Json {
  if (Array.isArray(json)) return (json as readonly Json[]).map((item) => mapObjects(item, replace))
  if (json === null || typeof json !== 'object') return json
  const entries = Object.entries(replace(json as JsonObject))
  return Object.fromEntries(entries.map(([key, value]) => [key, mapObjects(value, replace)]))
}

const OPTIONAL_BODIES = ['VolumePut', 'DevicePut'].map((name) => `#/components/schemas/${name}`)
const PROBLEM = '#/components/schemas/Problem'
/** What is not JSON, by operation. */
const MEDIA_TYPES: Readonly<Record<string, string>> = { metrics: 'text/plain', events: 'text/event-stream' }

function adjusted(value: JsonObject): JsonObject {
  if ('operationId' in value) return adjustedOperation(value)
  if (value['description'] !== 'Default Response' || !('content' in value)) return value
  const text = textOf(value['content'])
  if (text.includes('"type":"null"')) return { description: 'done' }
  if (!text.includes(PROBLEM)) return { ...value, description: 'done' }
  return { description: 'not done', content: { 'application/problem+json': { schema: { $ref: PROBLEM } } } }
}

function adjustedOperation(operation: JsonObject): JsonObject {
  const { operationId, requestBody } = operation
  const type = typeof operationId === 'string' ? MEDIA_TYPES[operationId] : undefined
  if (type !== undefined) {
    const responses = operation['responses'] as JsonObject
    return {
      ...operation,
      responses: { ...responses, 200: { description: 'done', content: { [type]: { schema: { type: 'string' } } } } },
    }
  }
  if (requestBody === undefined) return operation
  const body = textOf(requestBody)
  const required = !OPTIONAL_BODIES.some((optional) => body.includes(optional))
  return { ...operation, requestBody: { ...(requestBody as JsonObject), required } }
}
