// What tools make of the schema before anything runs: types, artifacts, manifests, and what linters think of it.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { ESLint } from 'eslint';
import { buildClientSchema, buildSchema, getIntrospectionQuery, lexicographicSortSchema, parse, printSchema, validate } from 'graphql';

import { GENERATED, HERE, SCHEMA, clientPreset, documents, relay, tool } from '../lib/codegen.mjs';
import { OwnServer, URL_OF_SERVER } from '../lib/server.mjs';
import { Caller, customer, nobody, product, staff } from '../lib/shop.mjs';

const sdl = await readFile(SCHEMA, 'utf8');
const manifest = async (path) => JSON.parse(await readFile(join(GENERATED, path), 'utf8'));

describe('the schema', () => {
  const plain = (schema) => printSchema(lexicographicSortSchema(schema));

  test('that is asked for by introspection is the one in schema.graphql', async () => {
    const { data } = await nobody().answer(getIntrospectionQuery({ inputValueDeprecation: true, specifiedByUrl: true }));
    assert.equal(plain(buildClientSchema(data)), plain(buildSchema(sdl)));
  });

  test('that is served at /schema.graphql is the one in schema.graphql', async () => {
    assert.equal(await (await fetch(`${URL_OF_SERVER}/schema.graphql`)).text(), sdl);
  });

  test('has every document as valid', async () => {
    for (const { location, document } of await documents()) {
      const others = (await documents()).filter((other) => other.location !== location);
      const fragments = others.flatMap((other) => other.document.definitions.filter(({ kind }) => kind === 'FragmentDefinition'));
      const whole = { ...document, definitions: [...document.definitions, ...fragments] };
      const found = validate(buildSchema(sdl), whole).filter(({ message }) => !/is never used/.test(message));
      assert.deepEqual(found.map(String), [], location);
    }
  });
});

describe('GraphQL Code Generator', () => {
  test('makes types that a strict TypeScript program compiles with', async () => {
    assert.ok((await clientPreset()).includes('graphql.ts'));
    const { code, output } = await tool('tsc', ['--project', '.']);
    assert.equal(code, 0, output);
  });

  test('leaves nothing to any', async () => {
    assert.doesNotMatch(await readFile(join(GENERATED, 'codegen/graphql.ts'), 'utf8'), /: any\b/);
  });
});

describe('relay-compiler', () => {
  test('compiles the documents, and those with its own directives', async () => {
    const { code, output } = await relay();
    assert.equal(code, 0, output);
    const artifacts = (await readdir(join(GENERATED, 'relay/artifacts'))).filter((name) => name.endsWith('.graphql.ts'));
    assert.ok(artifacts.includes('OrderFeedPaginationQuery.graphql.ts'), 'a connection can be asked for again');
    assert.ok(artifacts.includes('OrderFeedOrderRefetchQuery.graphql.ts'), 'an order can be asked for again by node(id)');
  });
});

/** A question with what it needs; everything that may be left out is. */
function variables(query, { ada, order }) {
  const [, declared = ''] = /(?:query|mutation|subscription) \w+\s*(\([^)]*\))?/.exec(query);
  const values = { id: order, from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z', customer: ada.id, count: 3 };
  return Object.fromEntries(Object.entries(values).filter(([name]) => declared.includes(`$${name}:`)));
}

describe('a server that trusts a manifest', () => {
  for (const [what, path, make] of [
    ['of the client preset', 'codegen/persisted-documents.json', clientPreset],
    ['of relay-compiler', 'relay/persisted.json', relay],
  ]) {
    test(`${what} answers its questions by id, and nothing else`, async (t) => {
      await make();
      const server = await OwnServer.start(t, { env: { ORDERFLOW_TRUSTED_DOCUMENTS: join(GENERATED, path) } });
      const [ada, tea] = [await customer(), await product()];
      const order = await ada.place([[tea, 1]]);
      await ada.see(await ada.pay(order));
      const there = new Caller(ada.bearer, server.url);
      const known = Object.entries(await manifest(path));
      assert.ok(known.length > 20, `${known.length}`);
      const send = async (body) => {
        const headers = { 'content-type': 'application/json', ...there.headers };
        return (await fetch(there.url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
      };
      let asked = 0;
      for (const [documentId, text] of known) {
        if (parse(text).definitions.find(({ operation }) => operation).operation !== 'query') continue;
        const { errors } = await send({ documentId, variables: variables(text, { ada, order }) });
        assert.equal(errors, undefined, `${text}\n${JSON.stringify(errors)}`);
        asked += 1;
      }
      assert.ok(asked >= 8, `${asked}`);
      assert.equal((await send({ query: known[0][1] })).errors[0].extensions.code, 'DOCUMENT_NOT_TRUSTED');
      assert.equal((await send({ query: '{ __typename }' })).errors[0].extensions.code, 'DOCUMENT_NOT_TRUSTED');
      assert.equal((await send({ documentId: 'nobody' })).errors[0].extensions.code, 'PERSISTED_QUERY_NOT_FOUND');
    });
  }
});

describe('a linter finds nothing but what its configuration gives a reason for', () => {
  test('graphql-eslint, all rules for schemas and those of Relay', async () => {
    const eslint = new ESLint({ cwd: join(HERE, '../..'), overrideConfigFile: join(HERE, 'eslint.config.mjs') });
    const [{ messages }] = await eslint.lintFiles(['schema.graphql']);
    assert.deepEqual(messages.map(({ line, ruleId, message }) => `${line} ${ruleId}: ${message}`), []);
  });

  test('graphql-schema-linter, all rules', async () => {
    const { stdout, output } = await tool('graphql-schema-linter', ['--format', 'json', SCHEMA]);
    const { errors } = JSON.parse(stdout || `{"errors":["${output}"]}`);
    assert.deepEqual(errors.map((error) => `${error.location?.line} ${error.rule}: ${error.message}`), []);
  });
});

test('staff may ask for all of it at once: the widest document is within the limits', async () => {
  const { data, errors, extensions } = await staff().answer(
    `{ orders(first: 20) { nodes { id lines { id } history(first: 20) { nodes { id pipeline { traceId } } } } } }`,
  );
  assert.equal(errors, undefined);
  assert.ok(data.orders.nodes.length > 0);
  assert.ok(extensions.cost.requested < extensions.cost.limit);
});
