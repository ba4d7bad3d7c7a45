import { ok, warning, type Finding } from './finding.ts'

/** The oldest major version of Node.js that still gets fixes: 20 got its last ones in April 2026. */
const OLDEST_KEPT = 22

/** The Node.js of the programs that are installed, and the one that runs the daemon; undefined: none does, or it does not say. */
export interface RuntimeFacts {
  readonly version: string
  readonly path: string
  readonly ofDaemon: string | undefined
}

/** Looks at the Node.js that runs sheepfs: the system's, or the one that a package brings. */
export function checkRuntime({ version, path, ofDaemon }: RuntimeFacts, instance = 'NAME'): Finding {
  const check = 'Node.js'
  if (Number.parseInt(version) < OLDEST_KEPT) {
    const mend = 'install Node.js 22 or 24, or the package sheepfs-bundled, which brings its own'
    return warning(check, `${version} at ${path} gets no fixes any more`, mend)
  }
  if (ofDaemon !== undefined && ofDaemon !== version) {
    const detail = `${ofDaemon} runs the daemon, ${version} is at ${path}`
    return warning(check, detail, `systemctl restart sheepfs@${instance}`)
  }
  return ok(check, `${version} at ${path}`)
}
