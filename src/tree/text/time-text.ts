const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const

/** `%Y-%m-%d %H:%M` of strftime(3), in the local time of the process. `seconds` since 1970. */
export function minuteText(seconds: number): string {
  const date = new Date(seconds * 1000)
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`
}

/** `%Y-%m-%d %H:%M:%S`, local. */
export function secondText(seconds: number): string {
  return `${minuteText(seconds)}:${two(new Date(seconds * 1000).getSeconds())}`
}

/** `%a %b %e %H:%M:%S %Y` in the C locale, local: ctime(3) without its newline. */
export function ctimeText(seconds: number): string {
  const date = new Date(seconds * 1000)
  const weekday = WEEKDAYS[date.getDay()] ?? ''
  const month = MONTHS[date.getMonth()] ?? ''
  const day = String(date.getDate()).padStart(2)
  return `${weekday} ${month} ${day} ${clock(date)}:${two(date.getSeconds())} ${date.getFullYear()}`
}

function clock(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}`
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}
