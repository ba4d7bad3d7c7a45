/**
 * What a terminal does not show, but does, or hides, or is turned around by: control characters (C0, DEL, C1), format
 * characters (bidirectional ones among them), separators of lines and paragraphs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** A text for a terminal or a log. Its lines stay lines; whatever else is no character to be seen is written as in JSON. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => (character === '\n' ? character : escaped(character)))
}

/** A value as somebody else has it, to be put into lines of ours: none of its texts can end or change one. */
export function printableValue<T>(value: T): T {
  if (typeof value === 'string') return value.replace(UNPRINTABLE, escaped) as T
  if (Array.isArray(value)) return value.map(printableValue) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, printableValue(item as unknown)])) as T
}

/** In JSON the same character, also in two halves. */
function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i))
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
}
