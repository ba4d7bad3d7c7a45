import { healthOf } from '../api/health.ts'
import type { Mount } from '../api/schema/mount.ts'
import type { Health, Status } from '../api/schema/status.ts'
import { examine } from '../daemon/doctor/doctor.ts'
import { findingText } from '../daemon/doctor/finding.ts'
import { byteSizeText } from './byte-size.ts'
import { EXIT } from './exit-code.ts'
import type { Call, Command } from './sheepfsctl-command.ts'
import { TOP_COMMAND } from './sheepfsctl-top.ts'
import { tableText } from './table.ts'

/** Commands that look at an instance and its mounts. */
export const LOOK_COMMANDS: readonly Command[] = [
  {
    name: 'status',
    arguments: '',
    summary: 'the instance and its mounts',
    count: [0, 0],
    run: async (call) => {
      const all = await call.client.status()
      const mounts = call.chosen(all.mounts)
      const status = { ...all, mounts }
      const { instance, state, pid, version, node, memory } = all
      const others = mounts.flatMap(({ name, worker }) =>
        worker?.version === undefined || worker.version === version
          ? []
          : [`the worker of ${name} is sheepfs ${worker.version}\n`],
      )
      const versions = `sheepfs ${version}${node === undefined ? '' : `, Node.js ${node}`}`
      const own = `${instance} is ${state}: ${versions}, pid ${pid}, ${byteSizeText(memory)} of memory\n`
      const head = own + others.join('') + deadText(all.dead_file_systems) + lackText(all.lacks)
      call.print(status, () => (mounts.length === 0 ? head : `${head}\n${mountTable(mounts)}`))
      return EXIT.done
    },
  },
  {
    name: 'mounts',
    arguments: '',
    summary: 'all mounts',
    count: [0, 0],
    run: async (call) => {
      const mounts = call.chosen(await call.client.mounts())
      call.print(mounts, () => mountTable(mounts))
      return EXIT.done
    },
  },
  {
    name: 'health',
    arguments: '',
    summary: `whether every mount serves; exit code ${EXIT.degraded} when one does not now, ${EXIT.unhealthy} when it cannot`,
    count: [0, 0],
    run: async (call) => {
      const health = await healthFor(call)
      const rows = health.mounts.map(({ name, state, reason }) => [name, state, reason ?? ''])
      call.print(
        health,
        () =>
          `${health.status}\n${deadText(health.dead_file_systems)}${rows.length === 0 ? '' : tableText(['MOUNT', 'STATE', 'REASON'], rows)}`,
      )
      if (health.status === 'ok') return EXIT.done
      return health.status === 'failed' ? EXIT.unhealthy : EXIT.degraded
    },
  },
  {
    name: 'metrics',
    arguments: '',
    summary: 'what is measured, as Prometheus reads it',
    hasNoMount: true,
    count: [0, 0],
    run: async (call) => {
      const metrics = await call.client.metrics()
      call.print({ metrics }, () => metrics)
      return EXIT.done
    },
  },
  TOP_COMMAND,
  {
    name: 'events',
    arguments: '',
    summary: 'what happens, until interrupted; one line each',
    watches: true,
    count: [0, 0],
    run: printEvents,
  },
  {
    name: 'doctor',
    arguments: '',
    summary: `what keeps mounts from working, and how to mend it; exit code ${EXIT.unhealthy} when something does`,
    hasNoMount: true,
    count: [0, 0],
    run: runDoctor,
  },
]

/** Of the mount that is named, or of the whole instance. */
async function healthFor(call: Call): Promise<Health> {
  if (call.text('mount') === undefined) return call.client.health()
  return healthOf({ state: 'running', mounts: [...call.chosen(await call.client.mounts())] })
}

function deadText(dead: Status['dead_file_systems'] = []): string {
  const lines = dead.map(
    ({ mountpoint, device, volume }) =>
      `${mountpoint} is dead: it is on ${device}, and nobody can serve ${volume} to it any more. Mount it again\n`,
  )
  return lines.join('')
}

function lackText(lacks: Status['lacks'] = []): string {
  return lacks.map(({ missing, matters }) => `${missing}: ${matters}\n`).join('')
}

function mountTable(mounts: readonly Mount[]): string {
  const rows = mounts.map((mount) => [
    mount.name,
    mount.state,
    mount.mountpoint,
    mount.worker ? String(mount.worker.pid) : '-',
    mount.worker ? String(mount.worker.generation) : '-',
    String(mount.open_files),
    String(mount.volumes.length),
    onOffText(mount.page_cache),
    onOffText(mount.object_cache),
    mount.gateway ?? '-',
    mount.reason ?? '',
  ])
  const columns = [
    'MOUNT',
    'STATE',
    'MOUNTPOINT',
    { number: 'WORKER' },
    { number: 'GEN' },
    { number: 'OPEN' },
    { number: 'VOLUMES' },
    'PAGE',
    'OBJECT',
    'SHEEP',
    'REASON',
  ]
  return tableText(columns, rows)
}

/** `on` or `off`. */
export function onOffText(isOn: boolean): string {
  return isOn ? 'on' : 'off'
}

async function printEvents(call: Call): Promise<number> {
  for await (const event of call.client.events({ mount: call.text('mount') })) {
    const { type, time, ...rest } = event
    const details = Object.entries(rest).map(([key, value]) => `${key}=${String(value)}`)
    call.print(event, () => `${[time, type, ...details].join(' ')}\n`)
  }
  return EXIT.done
}

async function runDoctor(call: Call): Promise<number> {
  const { instance, variables } = call
  const status = await call.client.status().catch((error: unknown) => error as Error)
  const findings = await examine({ instance, variables, status })
  call.print(findings, () => findings.map(findingText).join(''))
  return findings.some(({ status }) => status === 'problem') ? EXIT.unhealthy : EXIT.done
}
