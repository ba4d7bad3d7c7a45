// Writes docs/man/*.md, for who reads the man pages in a browser: npm run man. A test compares them.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const pages = readdirSync(join(root, 'packaging/man'))

/** The text of docs/man/PAGE.md for each page. Errors: mandoc(1) cannot be run. */
export function manMarkdown() {
  return new Map(pages.map((page) => [`${page}.md`, markdownOf(page)]))
}

function markdownOf(page) {
  const path = join(root, 'packaging/man', page)
  return link(quoteItems(render(path), readFileSync(path, 'utf8')))
}

function render(path) {
  const args = ['-T', 'markdown', '-I', 'os=sheepfs', path]
  const { status, stdout, error } = spawnSync('mandoc', args, { encoding: 'utf8' })
  if (error) throw new Error('mandoc cannot be run: apt-get install mandoc', { cause: error })
  if (stdout === '') throw new Error(`mandoc has made nothing of ${path}: status ${status}`)
  return stdout
}

/** mandoc indents by a tab, which is code in Markdown, or quotes, as it comes: items of lists are quoted here, displays are code. */
function quoteItems(text, source) {
  const displays = Array.from(source.matchAll(/^\.Bd -literal.*\n(.*)/gm), ([, first]) => letters(first))
  let isDisplay = false
  let wasIndented = false
  const lines = text.split('\n').map((line) => {
    const isIndented = /^(?:\t|>)/.test(line)
    const content = line.replace(/^(?:\t|> ?)/, '')
    if (isIndented && !wasIndented) isDisplay = displays.includes(letters(content))
    wasIndented = isIndented
    if (!isIndented) return line
    return isDisplay ? `\t${plain(content)}`.trimEnd() : `> ${content.replaceAll('\t', '    ')}`.trimEnd()
  })
  return lines.join('\n')
}

const ENTITIES = { '&nbsp;': ' ', '&lt;': '<', '&gt;': '>', '&amp;': '&' }

/** Without the escapes that code does not need. */
function plain(text) {
  return text.replace(/\\([^\w\s])/g, '$1').replace(/&(?:nbsp|lt|gt|amp);/g, (entity) => ENTITIES[entity])
}

const letters = (line) => line.replace(/&\w+;|[^A-Za-z0-9]/g, '')

/** References between the pages become links. */
function link(text) {
  return text.replace(/(?<=^(?:> )*)([\w.]+)\((\d)\)/gm, (reference, name, section) =>
    pages.includes(`${name}.${section}`) ? `[${reference}](${name}.${section}.md)` : reference,
  )
}

if (process.argv[1] === import.meta.filename) {
  const folder = join(root, 'docs/man')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const [name, text] of manMarkdown()) writeFileSync(join(folder, name), text)
}
