import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join, normalize } from 'node:path'
import { describe, test } from 'node:test'

const ROOT = join(import.meta.dirname, '../..')
const FOLDERS = ['src', 'test', 'bench', 'scripts', 'packaging', 'systemd', 'etc', 'docs']
/** Pages whose sections have numbers. */
const NUMBERED = ['docs/sheepdog-protocol.md', 'docs/fuse-kernel-protocol.md']

/** A page as `docs/NAME.md`, a section of it as `docs/NAME.md#5.7`, several as `docs/NAME.md#5.7, #6.1`. */
const REFERENCE = /\bdocs\/[\w-]+\.md(?:#[\w.-]*\w(?:, #[\w.-]*\w)*)?/g
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/** What may be written behind the # of a link to the page: its explicit anchors, and its headings as GitHub names them. */
function anchorsOf(page: string): Set<string> {
  const text = page.replace(/^```.*?^```$/gms, '')
  const explicit = Array.from(text.matchAll(/<a id="([^"]+)">/g), ([, id = '']) => id)
  const headings = Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
    heading
      .replace(/<[^>]*>/g, '')
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...explicit, ...headings])
}

/** Those of `targets`, as `path#anchor`, that lead nowhere. */
function broken(targets: readonly string[], readPage = read): string[] {
  return targets.filter((target) => {
    const [path = '', anchor] = target.split('#')
    if (!existsSync(join(ROOT, path))) return true
    return anchor !== undefined && !anchorsOf(readPage(path)).has(anchor)
  })
}

/** The references in a text that is not a page: `docs/a.md#1, #2` are two. */
function referencesIn(text: string): string[] {
  return Array.from(text.matchAll(REFERENCE), ([reference]) => reference).flatMap((reference) => {
    const [page = '', ...anchors] = reference.split(/,? ?#/)
    return anchors.length === 0 ? [page] : anchors.map((anchor) => `${page}#${anchor}`)
  })
}

/** The links of a page to others, to itself and to files, as paths from the root. */
function linksIn(page: string, text: string): string[] {
  return Array.from(text.matchAll(LINK), ([, target = '']) => target)
    .filter((target) => !/^https?:/.test(target))
    .map((target) => (target.startsWith('#') ? `${page}${target}` : normalize(join(dirname(page), target))))
}

const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('vectors'))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1)),
)
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...files.filter((path) => extname(path) === '.md')]
const sources = files.filter((path) => extname(path) !== '.md' && path !== 'test/links.test.ts')

describe('references', () => {
  for (const page of pages) {
    test(`every link of ${page} leads somewhere`, () => {
      assert.deepEqual(broken(linksIn(page, read(page))), [])
    })
  }

  test('every reference of the source, the tests and the scripts to a page or a section of one leads there', () => {
    const found = sources.flatMap((path) => broken(referencesIn(read(path))).map((target) => `${path}: ${target}`))
    assert.deepEqual(found, [])
  })

  test('a fact is referred to in one form, not as a sheet that is not here', () => {
    const inWords = /\bsheet (?:section )?\d|(?<!docs\/)\b(?:sheepdog|fuse-kernel)-protocol\.md/
    assert.deepEqual(
      sources.filter((path) => inWords.test(read(path))),
      [],
    )
  })

  test('an anchor with a number is that of its section, and stands once', () => {
    for (const page of NUMBERED.filter((path) => existsSync(join(ROOT, path)))) {
      const sections = Array.from(read(page).matchAll(/^#+ <a id="([\d.]+)"><\/a>([\d.]+) /gm), ([, id, number]) => ({
        id,
        number,
      }))
      assert.ok(sections.length > 0, page)
      assert.deepEqual(
        sections.filter(({ id, number }) => id !== number),
        [],
      )
      assert.equal(new Set(sections.map(({ id }) => id)).size, sections.length, page)
    }
  })

  test('a reference to a page, a section or a file that is not there is found', () => {
    const page = '# The page\n\n## <a id="5.7"></a>5.7 A section\n'
    const text = 'see docs/control-api.md#5.7, #9.9 and docs/nothing.md, and docs/control-api.md.'
    assert.deepEqual(
      broken(referencesIn(text), () => page),
      ['docs/control-api.md#9.9', 'docs/nothing.md'],
    )
    const links = linksIn(
      'docs/a.md',
      '[here](control-api.md#57-a-section) [gone](../src/nothing.ts) [x](https://a.b/)',
    )
    assert.deepEqual(
      broken(links, () => page),
      ['src/nothing.ts'],
    )
  })
})
