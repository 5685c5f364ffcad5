// What the pages tell people to type is typed here, and what they quote is compared.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { root } from './support/gusher.mjs';
import { blocksOf, hasTool, judge, judges, parsers, quotes, Workshop } from './support/snippets.mjs';

/** How many blocks nobody runs. Each says why; one more wants a reason, and this number. */
const NOT_RUN = 2;

/** Programs that the tests do not install: what needs them is run where they are. */
const OPTIONAL = ['php', 'ruby', 'go'];

const PORTS = [80, 443, 8080, 8443, 3000, 3001, 4222, 6222, 7777, 8222, 8888];

/** Pages for which a server runs from the beginning, and what it is started with. */
const servers = {
  'docs/METRICS.md': 'build/gusher all --dev',
  'docs/REASONS.md': 'build/gusher all --dev',
};

const folders = ['docs/how-to', ...fs.readdirSync(path.join(root, 'examples')).map((name) => `examples/${name}`)];
const pages = [
  ...['README.md', 'docs/API.md', 'docs/METRICS.md', 'docs/OPERATIONS.md', 'docs/PROTOCOL.md', 'docs/REASONS.md'],
  ...['docs/SECURITY.md', 'docs/TUTORIAL.md'],
  ...folders.flatMap((folder) =>
    fs
      .readdirSync(path.join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  ),
].filter((name) => fs.existsSync(path.join(root, name)));

const read = (page) => blocksOf(fs.readFileSync(path.join(root, page), 'utf8'));

async function walk(block, workshop, t) {
  const { lang, text, notes } = block;
  if (notes['not run']) return;
  if (notes.needs && !hasTool(notes.needs)) {
    assert.ok(OPTIONAL.includes(notes.needs), `${notes.needs} is not here: script/setup --test installs it`);
    t.diagnostic(`line ${block.line}: there is no ${notes.needs} here`);
    return;
  }
  if (notes.from) assert.ok(quotes(text, path.join(root, notes.from)), `not to be found in ${notes.from}`);
  else if (notes.file) workshop.write(notes.file, text);
  else if (lang === 'sh') await workshop.run(block);
  else if (lang === 'text') await workshop.compare(block);
  else if (lang === 'json') JSON.parse(text);
  else if (judges[lang]) judge(judges[lang](text, workshop), workshop);
  else if (parsers[lang]) {
    const [tool, ...args] = parsers[lang];
    if (hasTool(tool)) judge([tool, ...args, workshop.write(`snippet.${lang === 'js' ? 'mjs' : lang}`, text)], workshop);
    else t.diagnostic(`line ${block.line}: there is no ${tool} here`);
  } else assert.fail(`nobody runs what is "${lang}", and it is not marked so`);
}

for (const page of pages) {
  test(page, async (t) => {
    const workshop = await Workshop.open(PORTS);
    try {
      if (servers[page]) await workshop.run({ text: servers[page], notes: { stays: 'server until listening' } });
      for (const block of read(page)) {
        await walk(block, workshop, t).catch((error) => {
          const said = error.stderr?.toString() ?? '';
          error.message = `${page}, line ${block.line}: ${error.message}\n${said}`;
          throw error;
        });
      }
    } finally {
      await workshop.close();
    }
  });
}

test('every reason has its part of docs/REASONS.md, and no other', () => {
  const source = fs.readFileSync(path.join(root, 'src/edge/reason.c'), 'utf8');
  const words = [...source.matchAll(/\[REASON_\w+\] = \{"(\w+)"/g)].map(([, word]) => word);
  assert.equal(words.length, 16);
  const page = fs.readFileSync(path.join(root, 'docs/REASONS.md'), 'utf8');
  const told = [...page.matchAll(/^### (.*)$/gm)].map(([, word]) => word);
  assert.deepEqual(told.sort(), words.sort());
});

test('links between pages lead somewhere', () => {
  const text = (file) => fs.readFileSync(file, 'utf8').replaceAll(/^( *)```[^]*?^\1```/gm, '');
  const anchor = (heading) => heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
  const lost = [];
  for (const page of pages) {
    for (const [, target] of text(path.join(root, page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [name, fragment] = target.split('#');
      const file = name ? path.join(root, path.dirname(page), name) : path.join(root, page);
      const isThere = fs.existsSync(file);
      const has = () => [...text(file).matchAll(/^#+ (.*)$/gm)].some(([, heading]) => anchor(heading) === fragment);
      if (!isThere || (fragment && !has())) lost.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(lost, []);
});

test('not more is left out than was', () => {
  const left = pages.flatMap((page) => read(page).filter(({ notes }) => notes['not run']));
  assert.equal(left.length, NOT_RUN);
  for (const { notes } of left) assert.ok(notes['not run'].length > 5);
});
