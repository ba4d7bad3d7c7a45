import type { WriteStream } from 'node:tty'
import { printable } from '../printable.ts'

/** A terminal that is written to. */
export interface Screen {
  /** Shows this in place of what was shown before; what does not fit is cut off. */
  fill(text: string): void
}

const HOME = '\u001b[H'
const CLEAR_TO_END_OF_LINE = '\u001b[K'
const CLEAR_BELOW = '\u001b[J'

/** The screen of a terminal, as large as it is at each time. Whatever in a text would do something to it is escaped. */
export function screenOf(terminal: Pick<WriteStream, 'columns' | 'rows' | 'write'>): Screen {
  return {
    fill: (text) => {
      const lines = printable(text).trimEnd().split('\n')
      const room = Math.max(terminal.rows - 1, 1) // the last is for the cursor
      const cut = lines.length - room
      const shown = cut > 0 ? [...lines.slice(0, room - 1), `... ${cut + 1} more lines`] : lines
      const filled = shown.map((line) => `${line.slice(0, terminal.columns)}${CLEAR_TO_END_OF_LINE}\n`)
      terminal.write(HOME + filled.join('') + CLEAR_BELOW)
    },
  }
}
