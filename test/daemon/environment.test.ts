import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { EnvironmentVariables, instanceFiles, readEnvironment } from '../../src/daemon/config/environment.ts'

test('an empty environment gives the defaults', () => {
  const environment = readEnvironment({ PATH: '/bin', SHEEPFS_LOG_LEVEL: '' })
  assert.deepEqual(environment, {
    instance: undefined,
    logLevel: 'info',
    configFile: undefined,
    runtimeDirectory: '/run/sheepfs',
    workerUser: 'sheepfs',
    stopTimeoutMs: 60_000,
    unknown: [],
  })
  assert.deepEqual(instanceFiles('c1', environment), {
    config: '/etc/sheepfs/c1.toml',
    directory: '/run/sheepfs/c1',
    controlSocket: '/run/sheepfs/c1/control.sock',
    observerSocket: '/run/sheepfs/c1/observer.sock',
    state: '/run/sheepfs/c1/state.json',
    trees: '/run/sheepfs/c1/trees',
  })
})

test('variables are taken, and those that mean nothing are named', () => {
  const environment = readEnvironment({
    SHEEPFS_LOG_LEVEL: 'debug',
    SHEEPFS_CONFIG: '/x/y.toml',
    SHEEPFS_STOP_TIMEOUT: '5',
    SHEEPFS_LOGLEVEL: 'trace',
    SHEEPFS_TEST_SHEEP: 'h:7000',
  })
  assert.equal(environment.logLevel, 'debug')
  assert.equal(environment.stopTimeoutMs, 5000)
  assert.equal(instanceFiles('c1', environment).config, '/x/y.toml')
  assert.deepEqual(environment.unknown, ['SHEEPFS_LOGLEVEL'])
})

test('wrong values are refused, naming the variable, what was found and what is expected', () => {
  const refused = (variables: Record<string, string>, text: RegExp) => {
    assert.throws(() => readEnvironment(variables), text)
  }
  refused({ SHEEPFS_LOG_LEVEL: 'loud' }, /SHEEPFS_LOG_LEVEL: found "loud", expected one of trace, debug, info/)
  refused({ SHEEPFS_CONFIG: 'x.toml' }, /SHEEPFS_CONFIG: found "x.toml", expected an absolute path/)
  refused({ SHEEPFS_RUNTIME_DIR: 'run' }, /SHEEPFS_RUNTIME_DIR: found "run", expected an absolute path/)
  refused({ SHEEPFS_STOP_TIMEOUT: '0' }, /SHEEPFS_STOP_TIMEOUT: found "0", expected the seconds/)
  refused({ SHEEPFS_STOP_TIMEOUT: 'soon' }, /SHEEPFS_STOP_TIMEOUT: found "soon", expected the seconds/)
  refused({ SHEEPFS_INSTANCE: '../x' }, /SHEEPFS_INSTANCE: found "\.\.\/x", expected a name/)
})

test('the environment file of the package has every variable, with its default', async () => {
  const text = await readFile(join(import.meta.dirname, '../../../etc/default/sheepfs'), 'utf8')
  const shown = [...text.matchAll(/^#(SHEEPFS_\w+)=(.*)$/gm)].map(([, name, value]) => [name, value])
  const {
    SHEEPFS_CONFIG: config,
    SHEEPFS_INSTANCE: instance,
    SHEEPFS_LOG_FORMAT: format,
    ...defaults
  } = Object.fromEntries(shown) as NodeJS.ProcessEnv
  assert.deepEqual([config, instance, format], [instanceFiles('INSTANCE', readEnvironment({})).config, '', ''])
  const known = Object.entries(EnvironmentVariables.properties).filter(([, schema]) => 'default' in schema)
  assert.deepEqual(
    defaults,
    Object.fromEntries(known.map(([name, schema]) => [name, String(Reflect.get(schema, 'default'))])),
  )
})
