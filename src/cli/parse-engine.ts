import type { EngineChoice } from '../daemon/choose-engine.ts'
import { SheepfsError } from '../errors.ts'

const CHOICES = ['auto', 'kernel', 'fuse-native'] as const satisfies readonly EngineChoice[]

/** Reads the value of --engine. Errors: invalid. */
export function parseEngine(text: string): EngineChoice {
  const choice = CHOICES.find((known) => known === text)
  if (choice !== undefined) return choice
  throw new SheepfsError('invalid', `--engine "${text}": expected auto, kernel or fuse-native`)
}
