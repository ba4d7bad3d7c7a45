import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { missing } from '../e2e/stage/ability.ts'
import { end, run, textOf } from '../e2e/stage/program.ts'
import { startLamb } from '../e2e/stage/sheep.ts'
import { startSheepfsd, tableOf } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { until } from '../sheep/until.ts'

const ROOT = join(import.meta.dirname, '../../..')
const RULES = join(ROOT, 'etc/prometheus/sheepfs.rules.yml')
const RULE_TESTS = 'test/packaging/sheepfs.rules.test.yml'
const DASHBOARD = join(ROOT, 'etc/grafana/sheepfs.json')

interface Target {
  readonly expr: string
}
interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly Target[] }[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] }
}

async function readDashboard(): Promise<Dashboard> {
  return JSON.parse(await readFile(DASHBOARD, 'utf8')) as Dashboard
}

/** As Grafana puts its variables in, with all chosen. */
function filled(expression: string): string {
  return expression.replaceAll('$__rate_interval', '1m').replaceAll(/\$\{?\w+\}?/g, '.*')
}

/** What an expression selects: `name{label="value"}`. */
function selectorsOf(expression: string): string[] {
  return expression.match(/\b(?:sheepfs_\w+|up)\b(?:\{[^}]*\})?/g) ?? []
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('alert rules', { skip: missing('promtool'), timeout: 120_000 }, () => {
  test('are understood by promtool', async () => {
    const { status, stdout, stderr } = await run('promtool', ['check', 'rules', RULES])
    assert.equal(status, 0, stdout + stderr)
  })

  test('fire when something is wrong, and not while all is well', async () => {
    const { status, stdout, stderr } = await run('promtool', ['test', 'rules', RULE_TESTS], { cwd: ROOT })
    assert.equal(status, 0, stdout + stderr)
  })

  test('are tested each, both ways', async () => {
    const alerts = (await readFile(RULES, 'utf8')).match(/(?<=- alert: )\w+/g) ?? []
    const tests = await readFile(join(ROOT, RULE_TESTS), 'utf8')
    assert.ok(alerts.length > 0)
    for (const alert of alerts) {
      assert.match(tests, new RegExp(`alertname: ${alert},? exp_alerts: \\[\\]`), `${alert} is silent`)
      assert.match(tests, new RegExp(`alertname="${alert}"`), `${alert} fires`)
    }
  })
})

const skip = missing('fuse', 'root', 'promtool', 'prometheus')

describe('what Prometheus has of a running daemon', { skip, timeout: 240_000 }, () => {
  const stage = new Stage()
  let api = ''

  /** The result of an expression, as a Prometheus that reads the daemon finds it. Errors: it does not parse. */
  async function query(expression: string): Promise<{ metric: Record<string, string> }[]> {
    const response = await fetch(`${api}/query?query=${encodeURIComponent(expression)}`)
    const answer = (await response.json()) as {
      error?: string
      data?: { result: { metric: Record<string, string> }[] }
    }
    return answer.data?.result ?? assert.fail(`${expression}: ${answer.error ?? ''}`)
  }

  before(async () => {
    const lamb = await startLamb(stage)
    const volume = await lamb.createVdi(2 ** 20)
    const table = await tableOf(stage, 'm', lamb, [volume])
    const [listen, own] = [await freePort(), await freePort()]
    await startSheepfsd(stage, { mounts: [table], head: `metrics_listen = "127.0.0.1:${listen}"\n` })
    const file = await open(join(table.mountpoint, 'volume', volume), 'r+')
    await file.write(Buffer.alloc(4096, 1), 0, 4096, 0)
    await file.read(Buffer.alloc(4096), 0, 4096, 0)
    await file.close()
    const directory = await stage.folder()
    const scrape = `{ job_name: sheepfs, static_configs: [{ targets: ["127.0.0.1:${listen}"] }] }`
    const config = `global: { scrape_interval: 1s }\nrule_files: ["${RULES}"]\nscrape_configs: [${scrape}]\n`
    await writeFile(join(directory, 'prometheus.yml'), config)
    const places = [`--config.file=${directory}/prometheus.yml`, `--storage.tsdb.path=${directory}/data`]
    const child = spawn('prometheus', [...places, `--web.listen-address=127.0.0.1:${own}`], { stdio: 'pipe' })
    stage.defer(() => end(child))
    const log = textOf(child.stderr)
    api = `http://127.0.0.1:${own}/api/v1`
    await until(async () => {
      await pause(200)
      assert.equal(child.exitCode, null, log())
      // the space of the cluster comes with a later look
      return (await query('count_over_time(sheepfs_cluster_free_bytes[1m]) > 2').catch(() => [])).length > 0
    })
  })
  after(() => stage.close())

  test('answers every query of the dashboard', async () => {
    for (const { title, targets } of (await readDashboard()).panels) {
      assert.ok(targets.length > 0, title)
      for (const { expr } of targets) assert.notDeepEqual(await query(filled(expr)), [], `${title}: ${expr}`)
    }
  })

  test('has what the dashboard can be narrowed to', async () => {
    for (const { name, definition } of (await readDashboard()).templating.list) {
      if (definition === undefined) continue
      const [, selector = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? []
      const found = await query(`group by (${label}) (${filled(selector)})`)
      assert.ok(found[0]?.metric[label], `${name}: ${definition}`)
    }
  })

  test('has every series that the dashboard and the alerts select, and nothing fires', async () => {
    const targets = (await readDashboard()).panels.flatMap((panel) => panel.targets)
    const rules = (await readFile(RULES, 'utf8')).replace(/annotations:\n(?: {10}.*\n)*/g, '')
    const selectors = new Set([...targets.map(({ expr }) => filled(expr)), rules].flatMap(selectorsOf))
    assert.ok(selectors.size > 20)
    for (const selector of selectors) {
      // of which there is one for each state
      const states = selector.startsWith('sheepfs_mount_state')
        ? selector.replace(/state(=~|!=|=)"[^"]*"/, '')
        : selector
      assert.notDeepEqual(await query(`count(${states})`), [], selector)
    }
    assert.deepEqual(
      await query('ALERTS{alertstate="firing",alertname!="SheepfsClusterFilling",alertname!="SheepfsClusterFull"}'),
      [],
    )
  })
})
