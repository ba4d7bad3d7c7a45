import { runSystemProgram } from '../system/system-program.ts'

/**
 * What a program may take that reads a volume, bytes and seconds of the processor: who wrote it may have made a table of 4 GiB,
 * which libblkid reads into memory at once.
 */
const BOUNDS = [`--as=${2 ** 27}`, '--cpu=10', '--core=0']

/** As `runSystemProgram`, for a program that reads what somebody has written into a volume. */
export function runOnImage(
  program: string,
  args: readonly string[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<string> {
  return runSystemProgram('prlimit', [...BOUNDS, '--', program, ...args], options)
}
