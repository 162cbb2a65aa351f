// Makes dist/, the folder that the server embeds and serves below /graphiql/.
// Every file lies flat in it and is reached by that path; nothing refers to another host.
// What the page loads has a hash in its name, so that browsers may keep it for good, and lies there compressed as well.

import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';

import { build } from 'esbuild';

import { readExamples } from './examples.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, 'dist');

await rm(dist, { recursive: true, force: true });
await mkdir(dist);

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  metafile: true,
  legalComments: 'none', // licenses.txt holds them whole
  outdir: dist,
  entryNames: '[name]-[hash]',
  target: ['es2022', 'chrome109', 'firefox115', 'safari16.4'],
  define: { 'process.env.NODE_ENV': '"production"' },
  logLevel: 'warning',
};

const workers = await build({
  ...common,
  entryPoints: {
    'editor.worker': 'monaco-editor/esm/vs/editor/editor.worker.js',
    'graphql.worker': 'monaco-graphql/esm/graphql.worker.js',
    'json.worker': 'monaco-editor/esm/vs/language/json/json.worker.js',
  },
  format: 'iife',
});

const page = await build({
  ...common,
  entryPoints: { graphiql: 'src/main.jsx' },
  format: 'esm',
  splitting: true, // the formatter is large and waits until it is asked for
  chunkNames: '[name]-[hash]',
  jsx: 'automatic',
  external: ['./font-*'],
  // GraphiQL asks for Prettier's old file names, which are CommonJS and lose their named exports here.
  alias: {
    'prettier/parser-babel': 'prettier/plugins/babel',
    'prettier/parser-graphql': 'prettier/plugins/graphql',
  },
  plugins: [given('examples', { builtIn: await readExamples() }), given('workers', { names: namesOf(workers) }), styles()],
});

await writePage();
await copyFile(join(here, 'favicon.svg'), join(dist, 'favicon.svg'));
await writeFile(join(dist, 'licenses.txt'), await licenses([page, workers]));
await compress();

// The hashed name of each entry point.
function namesOf({ metafile }, ending = '.js') {
  const made = Object.keys(metafile.outputs).map((path) => basename(path)).filter((name) => name.endsWith(ending));
  return Object.fromEntries(made.map((name) => [name.replace(/-[A-Z0-9]{8}\.\w+$/, ''), name]));
}

// A module `orderflow:NAME` whose exports are known now.
function given(name, exported) {
  const lines = Object.entries(exported).map(([key, value]) => `export const ${key} = ${JSON.stringify(value)};`);
  return {
    name,
    setup({ onResolve, onLoad }) {
      onResolve({ filter: new RegExp(`^orderflow:${name}$`) }, ({ path }) => ({ path, namespace: name }));
      onLoad({ filter: /.*/, namespace: name }, () => ({ contents: lines.join('\n') }));
    },
  };
}

async function writePage() {
  const html = await readFile(join(here, 'index.html'), 'utf8');
  const [script, style] = [namesOf(page).graphiql, namesOf(page, '.css').graphiql];
  const text = html.replace('/graphiql/graphiql.js', `/graphiql/${script}`).replace('/graphiql/graphiql.css', `/graphiql/${style}`);
  if (!text.includes(script) || !text.includes(style)) throw new Error('the page does not load its own script and style');
  await writeFile(join(dist, 'index.html'), text);
}

// The page itself is written anew for each visit. Web fonts are compressed already.
async function compress() {
  const level = { level: constants.Z_BEST_COMPRESSION };
  const names = (await readdir(dist)).filter((name) => /\.(js|css|svg|ttf|txt)$/.test(name));
  for (const name of names) {
    const packed = await promisify(gzip)(await readFile(join(dist, name)), level);
    await writeFile(join(dist, `${name}.gz`), packed);
  }
}

// GraphiQL's style sheet has Monaco's in it, so Monaco's own imports of it would only double it.
// Its fonts come as data: URLs; as files, the browser fetches the three it needs instead of all, and the page's
// Content-Security-Policy can do without data: fonts.
function styles() {
  return {
    name: 'styles',
    setup({ onLoad }) {
      onLoad({ filter: /monaco-editor[\\/].*\.css$/ }, () => ({ contents: '', loader: 'empty' }));
      onLoad({ filter: /graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path }) => ({
        contents: await withFontFiles(await readFile(path, 'utf8')),
        loader: 'css',
      }));
    },
  };
}

async function withFontFiles(css) {
  const fonts = new Map();
  const text = css.replace(/url\(["']?data:font\/(\w+);base64,([^"')]+)["']?\)/g, (_, type, base64) => {
    const bytes = Buffer.from(base64, 'base64');
    const name = `font-${createHash('sha256').update(bytes).digest('hex').slice(0, 8)}.${type}`;
    fonts.set(name, bytes);
    return `url(./${name})`;
  });
  if (text.includes('data:font')) throw new Error('a font stayed inside the style sheet');
  await Promise.all([...fonts].map(([name, bytes]) => writeFile(join(dist, name), bytes)));
  return text;
}

// The server's binary carries other people's code; their terms travel with it.
async function licenses(builds) {
  const inputs = builds.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  const folders = new Set(inputs.map((path) => path.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1]).filter(Boolean));
  const texts = await Promise.all([...folders].sort().map(license));
  return texts.join('\n\n');
}

async function license(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(here, folder, 'package.json'), 'utf8'));
  const files = (await readdir(join(here, folder))).filter((file) => /^(licen[sc]e|notice)/i.test(file));
  const texts = await Promise.all(files.map((file) => readFile(join(here, folder, file), 'utf8')));
  return [`${name} ${version} (${license})`, ...texts.map((text) => text.trim())].join('\n\n');
}
