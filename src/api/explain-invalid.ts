import type { TSchema } from 'typebox'
import { Errors } from 'typebox/value'
import { nearestName } from '../nearest-name.ts'

/** Something in a value that its schema does not allow. */
export interface Flaw {
  /** Where: `mount[0].page_cache`; empty for the value itself. */
  readonly path: string
  /** What is wrong: `found "yes", expected true or false`. */
  readonly text: string
}

interface SchemaNode {
  readonly description?: string
  readonly type?: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
}

/**
 * The flaws of `value`, in the words of the descriptions of `schema`; empty when it is valid. Each place is named once,
 * however many rules it breaks; of many flaws the first are told.
 */
export function explainInvalid(schema: TSchema, value: unknown): Flaw[] {
  const flaws = new Map<string, Flaw>()
  const add = (steps: readonly string[], text: string): void => {
    const path = pathText(steps)
    if (!flaws.has(path)) flaws.set(path, { path, text })
  }
  for (const error of Errors(schema, value)) {
    const steps = stepsOf(error.instancePath)
    const node = descend(schema, steps)
    if (error.keyword === 'additionalProperties') {
      for (const name of error.params.additionalProperties) add([...steps, name], unknownText(name, node))
    } else if (error.keyword === 'required') {
      for (const name of error.params.requiredProperties) {
        add([...steps, name], `missing, expected ${expectedText(node?.properties?.[name])}`)
      }
    } else if (error.keyword === 'boolean') {
      // of an unknown key each, before the one that names them all, which does not come when there are many
      const node = descend(schema, steps.slice(0, -1))
      add(steps, unknownText(steps.at(-1) ?? '', node))
    } else {
      add(steps, `found ${foundText(valueAt(value, steps))}, expected ${expectedText(node)}`)
    }
  }
  return [...flaws.values()]
}

function unknownText(name: string, node: SchemaNode | undefined): string {
  const known = Object.keys(node?.properties ?? {})
  const nearest = nearestName(name, known)
  if (known.length === 0) return 'unknown key, expected none'
  return nearest === undefined
    ? `unknown key, expected one of ${known.join(', ')}`
    : `unknown key, did you mean ${nearest}?`
}

function expectedText(node: SchemaNode | undefined): string {
  return node?.description ?? node?.type ?? 'something else'
}

/** At most this much of a wrong value or key is repeated. */
const LONGEST_FOUND = 80

function foundText(value: unknown): string {
  return shortened(value === undefined ? 'nothing' : JSON.stringify(value))
}

function shortened(text: string): string {
  return text.length > LONGEST_FOUND ? `${text.slice(0, LONGEST_FOUND)}…` : text
}

/** The steps of a JSON pointer (RFC 6901). */
function stepsOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function descend(schema: SchemaNode, steps: readonly string[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = schema
  for (const step of steps) node = node?.properties?.[step] ?? node?.items
  return node
}

function valueAt(value: unknown, steps: readonly string[]): unknown {
  let at = value
  for (const step of steps) at = (at as Record<string, unknown> | undefined)?.[step]
  return at
}

function pathText(steps: readonly string[]): string {
  return steps.reduce((path, step) => {
    if (/^\d+$/.test(step)) return `${path}[${step}]`
    const key = shortened(/^[A-Za-z0-9_-]+$/.test(step) ? step : JSON.stringify(step))
    return path === '' ? key : `${path}.${key}`
  }, '')
}
