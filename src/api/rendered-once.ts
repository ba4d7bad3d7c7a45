/** A rendering that is made once for each object, however many ask for it: what was rendered does not change any more. */
export function renderedOnce<T extends object, R>(render: (value: T) => R): (value: T) => R {
  const known = new WeakMap<T, R>()
  return (value) => {
    const rendering = known.get(value) ?? render(value)
    known.set(value, rendering)
    return rendering
  }
}
