// Makes the console's files, which become part of the program: node build.mjs FOLDER
import { build } from 'esbuild';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';

const source = fileURLToPath(new URL('src', import.meta.url));
const folder = process.argv[2];
if (!folder) throw new Error('usage: node build.mjs FOLDER');

fs.mkdirSync(folder, { recursive: true });
await build({
  entryPoints: { app: path.join(source, 'main.jsx') },
  outdir: folder,
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
});
for (const name of ['index.html', 'favicon.svg'])
  fs.copyFileSync(path.join(source, name), path.join(folder, name));

// A browser that takes gzip gets what is compressed once, here.
for (const name of ['index.html', 'app.js', 'app.css', 'favicon.svg']) {
  const file = path.join(folder, name);
  fs.writeFileSync(`${file}.gz`, zlib.gzipSync(fs.readFileSync(file), { level: 9 }));
}
