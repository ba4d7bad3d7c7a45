import { Check } from 'typebox/value'
import { Event } from './schema/event.ts'

/** The events of a text/event-stream, whatever pieces it comes in. What this version does not know is left out. */
export async function* readEvents(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Event> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stream) {
    const messages = (text + decoder.decode(chunk, { stream: true })).split('\n\n')
    text = messages.pop() ?? ''
    for (const message of messages) {
      const event = parseEvent(message)
      if (event !== undefined) yield event
    }
  }
}

function parseEvent(message: string): Event | undefined {
  const data = message.split('\n').find((line) => line.startsWith('data: '))
  if (data === undefined) return undefined
  const event: unknown = JSON.parse(data.slice('data: '.length))
  return Check(Event, event) ? event : undefined
}
