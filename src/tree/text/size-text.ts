const UNITS = ['MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'] as const
const BYTES_PER_MB = 1 << 20

/**
 * A size as dog prints it: one decimal below 10 units, none from there on. `bytes` is a whole number of at least 0. The
 * unit is chosen before rounding, so that "1024 MB" occurs.
 */
export function sizeText(bytes: number): string {
  let value = bytes / BYTES_PER_MB
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  const unitShift = 20 + 10 * unit
  const exact = BigInt(bytes)
  const number = value >= 10 ? `${divideEven(exact, unitShift)}` : decimalText(divideEven(exact * 10n, unitShift))
  return `${number} ${UNITS[unit] ?? ''}`
}

/**
 * `dividend` / 2^`shift` rounded as C's printf does: on the exact value, ties to even (docs/sheepdog-protocol.md#11).
 * toFixed would round ties up.
 */
function divideEven(dividend: bigint, shift: number): bigint {
  const divisor = 1n << BigInt(shift)
  const quotient = dividend / divisor
  const twice = (dividend % divisor) * 2n
  const isUp = twice > divisor || (twice === divisor && quotient % 2n === 1n)
  return isUp ? quotient + 1n : quotient
}

function decimalText(tenths: bigint): string {
  return `${tenths / 10n}.${tenths % 10n}`
}
