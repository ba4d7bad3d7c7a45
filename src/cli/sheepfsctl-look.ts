import { setTimeout as sleep } from 'node:timers/promises'
import { healthOf } from '../api/health.ts'
import type { Mount } from '../api/schema/mount.ts'
import type { Health, Status } from '../api/schema/status.ts'
import { examine } from '../daemon/doctor/doctor.ts'
import { writeFaultReport } from '../daemon/doctor/fault-report.ts'
import { findingText } from '../daemon/doctor/finding.ts'
import { byteSizeText } from './byte-size.ts'
import { EXIT } from './exit-code.ts'
import type { Call, Command } from './sheepfsctl-command.ts'
import { TOP_COMMAND } from './sheepfsctl-top.ts'
import { tableText } from './table.ts'

const WATCH_PAUSE_MS = 1000

/** Commands that look at an instance and its mounts. */
export const LOOK_COMMANDS: readonly Command[] = [
  {
    name: 'status',
    arguments: '',
    summary: 'the instance and its mounts',
    options: [['--watch', 'again each second, until interrupted']],
    run: async (call) => {
      if (!call.flag('watch')) {
        const status = await statusFor(call)
        call.print(status, () => statusText(status))
        return EXIT.done
      }
      for (;;) {
        const status = await statusFor(call)
        call.show(status, () => statusText(status))
        await sleep(WATCH_PAUSE_MS)
      }
    },
  },
  {
    name: 'mounts',
    arguments: '',
    summary: 'all mounts',
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
    run: printEvents,
  },
  {
    name: 'doctor',
    arguments: '',
    summary: `what keeps mounts from working, and how to mend it; exit code ${EXIT.unhealthy} when something does`,
    hasNoMount: true,
    options: [
      ['--bundle FILE', 'write all that a report of a fault needs into a new file, without the content of volumes'],
    ],
    run: runDoctor,
  },
]

/** Of the mount that is named, or of all. */
async function statusFor(call: Call): Promise<Status> {
  const status = await call.client.status()
  return { ...status, mounts: [...call.chosen(status.mounts)] }
}

function statusText(status: Status): string {
  const { instance, state, pid, version, node, memory, mounts } = status
  const others = mounts.flatMap(({ name, worker }) =>
    worker?.version === undefined || worker.version === version
      ? []
      : [`the worker of ${name} is sheepfs ${worker.version}\n`],
  )
  const versions = `sheepfs ${version}${node === undefined ? '' : `, Node.js ${node}`}`
  const own = `${instance} is ${state}: ${versions}, pid ${pid}, ${byteSizeText(memory)} of memory\n`
  const head = own + others.join('') + deadText(status.dead_file_systems) + lackText(status.lacks)
  return mounts.length === 0 ? head : `${head}\n${mountTable(mounts)}`
}

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
  const patient = { instance, variables, status }
  const findings = await examine(patient)
  const bundle = call.text('bundle')
  if (bundle !== undefined) await writeFaultReport(bundle, patient, findings)
  const written =
    bundle === undefined ? '' : `${bundle} has what a report of a fault needs: read it before you send it\n`
  call.print(findings, () => findings.map(findingText).join('') + written)
  return findings.some(({ status }) => status === 'problem') ? EXIT.unhealthy : EXIT.done
}
