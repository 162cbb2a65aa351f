// What frontends have made of the schema before they run: types, artifacts, manifests of documents. All of it goes into generated/.

import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { codegen } from '@graphql-codegen/core';
import { preset } from '@graphql-codegen/client-preset';
import { buildASTSchema, parse, print } from 'graphql';

export const HERE = fileURLToPath(new URL('..', import.meta.url));
export const SCHEMA = join(HERE, '../../schema.graphql');
export const GENERATED = join(HERE, 'generated');

/** Runs a tool of node_modules/.bin; gives what it said, also when it failed. */
export function tool(name, args, cwd = HERE) {
  return new Promise((resolve) => {
    const bin = join(HERE, 'node_modules/.bin', name);
    execFile(bin, args, { cwd, timeout: 60_000, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, output: `${stdout}${stderr}`, stdout });
    });
  });
}

/** The documents in a folder, by file. */
export async function documents(folder = 'documents') {
  const names = (await readdir(join(HERE, folder))).filter((name) => name.endsWith('.graphql'));
  return Promise.all(
    names.map(async (name) => {
      const location = join(HERE, folder, name);
      const rawSDL = await readFile(location, 'utf8');
      return { location, rawSDL, document: parse(rawSDL) };
    }),
  );
}

async function write(path, content) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

// Every scalar has a type: nothing is left to `any`.
const scalars = Object.fromEntries(['DateTime', 'Decimal', 'CurrencyCode', 'CountryCode'].map((name) => [name, 'string']));

/** The client preset of GraphQL Code Generator, with a manifest for trusted documents. Gives the names of the files. */
export async function clientPreset() {
  const baseOutputDir = join(GENERATED, 'codegen/');
  await rm(baseOutputDir, { recursive: true, force: true });
  const schemaDocument = parse(await readFile(SCHEMA, 'utf8'));
  const outputs = await preset.buildGeneratesSection({
    baseOutputDir,
    schema: schemaDocument,
    schemaAst: buildASTSchema(schemaDocument),
    documents: await documents(),
    config: { scalars, strictScalars: true, useTypeImports: true, enumsAsTypes: true, nonOptionalTypename: true, dedupeOperationSuffix: true },
    presetConfig: { persistedDocuments: { hashAlgorithm: 'sha256' }, onlyOperationTypes: false },
    plugins: [],
    pluginMap: {},
    pluginContext: {},
    profiler: { run: (work) => work(), collect: () => [] },
    documentTransforms: [],
  });
  for (const output of outputs) await write(output.filename, await codegen(output));
  return outputs.map(({ filename }) => basename(filename));
}

/** relay-compiler, over the same documents and its own. */
export async function relay() {
  const folder = join(GENERATED, 'relay');
  await rm(folder, { recursive: true, force: true });
  for (const { location, document } of [...(await documents()), ...(await documents('documents/relay'))]) {
    // It reads documents out of scripts, one in each tag, and wants them named after the script.
    const tags = document.definitions.map((definition) => `graphql\`\n${print(definition)}\n\`;\n`);
    await write(join(folder, 'src', `${basename(location, '.graphql')}.ts`), `import { graphql } from 'relay-runtime';\n${tags.join('\n')}`);
  }
  const config = {
    src: './src',
    schema: '../../../../schema.graphql',
    language: 'typescript',
    artifactDirectory: './artifacts',
    customScalarTypes: scalars,
    requireCustomScalarTypes: true,
    persistConfig: { file: './persisted.json', algorithm: 'SHA256' },
  };
  await mkdir(join(folder, 'artifacts'));
  await writeFile(join(folder, 'persisted.json'), '{}');
  await writeFile(join(folder, 'relay.config.json'), JSON.stringify(config, null, 2));
  return tool('relay-compiler', ['relay.config.json'], folder);
}
