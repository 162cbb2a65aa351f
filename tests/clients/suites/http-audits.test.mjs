// GraphQL over HTTP, as the audits of npm's graphql-http see it, and what they do not look at.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

import { serverAudits } from 'graphql-http';

import { URL_OF_SERVER, graphqlUrl } from '../lib/server.mjs';
import { customer, nobody, staff } from '../lib/shop.mjs';
import { within } from '../lib/wait.mjs';

describe('every audit of graphql-http', () => {
  const audits = serverAudits({ url: graphqlUrl(), fetchFn: fetch });
  test('there are as many as there were', () => assert.ok(audits.length >= 61, `${audits.length}`));
  for (const { id, name, fn } of audits) {
    test(`${id} ${name}`, async () => {
      const { status, reason } = await within(fn(), name);
      assert.equal(status, 'ok', reason);
    });
  }
});

/** A mutation that would be seen in the catalogue, and a way to look. */
function newProduct() {
  const sku = randomUUID();
  const input = `{ sku: "${sku}", name: "Tea", price: { amount: "6.50", currencyCode: "GBP" } }`;
  const query = `mutation { createProduct(input: ${input}) { receipt { version } errors { code } } }`;
  const made = async () => {
    // A later command has become visible: an earlier one would be visible too.
    const other = await staff().command('createProduct', { sku: randomUUID(), name: 'Tea', price: { amount: '1', currencyCode: 'GBP' } });
    await staff().see(other);
    const data = await staff().ask('query($sku: [String!]) { products(filter: { sku: $sku }) { totalCount } }', { sku: [sku] });
    return data.products.totalCount;
  };
  return { query, made };
}

describe('a mutation is carried out only when no page of a stranger could have sent it', () => {
  for (const accept of ['application/json', 'application/graphql-response+json', 'text/event-stream']) {
    test(`by GET it is refused with 405 for ${accept}`, async () => {
      const { query, made } = newProduct();
      const url = `${graphqlUrl()}?${new URLSearchParams({ query })}`;
      const response = await fetch(url, { headers: { ...staff().headers, accept } });
      assert.equal(response.status, 405);
      assert.equal(response.headers.get('allow'), 'POST');
      assert.ok((await response.json()).errors[0].message);
      assert.equal(await made(), 0);
    });
  }

  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', undefined]) {
    test(`as ${type} it is refused with 415`, async () => {
      const { query, made } = newProduct();
      const body = new TextEncoder().encode(JSON.stringify({ query }));
      const headers = { ...staff().headers, ...(type && { 'content-type': type }) };
      const response = await fetch(graphqlUrl(), { method: 'POST', headers, body });
      assert.equal(response.status, 415);
      assert.ok((await response.json()).errors[0].message);
      assert.equal(await made(), 0);
    });
  }

  test('as JSON it is carried out: the refusals above are not for another reason', async () => {
    const { query, made } = newProduct();
    assert.deepEqual((await staff().ask(query)).createProduct.errors, []);
    assert.equal(await made(), 1);
  });

  test('a page of another origin is not let in, not even to look', async () => {
    const headers = { origin: 'https://elsewhere.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
    const response = await fetch(graphqlUrl(), { method: 'OPTIONS', headers });
    assert.equal(response.headers.get('access-control-allow-origin'), null);
  });
});

/** An answer as it went over the wire: fetch would unpack it unseen. */
function raw(path, headers = {}, body = undefined) {
  return within(
    new Promise((resolve, reject) => {
      const to = request(`${URL_OF_SERVER}${path}`, { method: body ? 'POST' : 'GET', headers }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
      });
      to.once('error', reject);
      to.end(body);
    }),
    path,
  );
}

const catalogue = JSON.stringify({ query: '{ products { nodes { id sku name price { amount currencyCode } } } }' });
const asked = (headers) => raw('/graphql', { ...staff().headers, 'content-type': 'application/json', ...headers }, catalogue);

describe('compression is negotiated', () => {
  const unpack = { gzip: gunzipSync, br: brotliDecompressSync, deflate: inflateSync };

  test('an answer is packed as the client can unpack it, and says so', async () => {
    const plain = await asked({});
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(JSON.parse(plain.body).errors, undefined);
    let packed = 0;
    for (const coding of Object.keys(unpack)) {
      const answer = await asked({ 'accept-encoding': coding });
      if (answer.headers['content-encoding'] === undefined) continue;
      packed += 1;
      assert.equal(answer.headers['content-encoding'], coding);
      assert.match(answer.headers.vary ?? '', /accept-encoding/i, 'a cache must not mix them up');
      assert.ok(answer.body.length < plain.body.length, coding);
      assert.deepEqual(JSON.parse(unpack[coding](answer.body)), JSON.parse(plain.body));
    }
    assert.ok(packed > 0, 'none of gzip, br and deflate is spoken');
  });

  test('gzip is spoken, which everybody can unpack', async () => {
    assert.equal((await asked({ 'accept-encoding': 'gzip' })).headers['content-encoding'], 'gzip');
  });

  test('a coding that the client does not want is not used', async () => {
    assert.equal((await asked({ 'accept-encoding': 'gzip;q=0, identity' })).headers['content-encoding'], undefined);
    assert.equal((await asked({ 'accept-encoding': 'nonsense' })).headers['content-encoding'], undefined);
  });

  test('events are not held back by it', async () => {
    const answer = await asked({ accept: 'text/event-stream', 'accept-encoding': 'gzip' });
    assert.equal(answer.headers['content-encoding'], undefined);
    assert.match(answer.body.toString(), /^event: ?next$/m);
  });
});

describe('what may be kept is said', () => {
  const control = (answer) => answer.headers['cache-control'] ?? '';

  test('no answer of the API is kept: it depends on who asks', async () => {
    const somebody = await customer();
    const get = `/graphql?${new URLSearchParams({ query: '{ me { id } }' })}`;
    for (const answer of [
      await asked({}),
      await asked({ accept: 'application/graphql-response+json' }),
      await raw(get, somebody.headers),
      await raw(get),
      await raw(get, { authorization: 'Bearer nonsense' }),
      await raw('/graphql', { 'content-type': 'text/plain' }, 'x'),
      await raw('/graphql'),
    ]) {
      assert.match(control(answer), /no-store/, `${answer.status} ${answer.body}`);
      assert.match(control(answer), /private/);
    }
  });

  test('events are not kept either', async () => {
    assert.match(control(await asked({ accept: 'text/event-stream' })), /no-cache|no-store/);
  });

  test('the explorer carries tokens and is not kept; its files with a hash are kept for ever', async () => {
    const page = await raw('/graphiql');
    assert.match(control(page), /no-store/);
    const [, path] = /src="(\/graphiql\/graphiql-\w{8}\.js)"/.exec(page.body.toString());
    const script = await raw(path);
    assert.match(control(script), /immutable/);
    const [chunk] = /chunk-[A-Za-z0-9]+\.js/.exec(script.body.toString());
    assert.match(control(await raw(`/graphiql/${chunk}`)), /immutable/);
    assert.match(control(await raw('/graphiql/favicon.svg')), /no-cache/);
    const packed = await raw(path, { 'accept-encoding': 'gzip' });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.ok(packed.body.length * 2 < script.body.length, `${packed.body.length} of ${script.body.length} bytes`);
  });

  test('every answer has an id to ask about, the client\'s own if it sent one', async () => {
    const { headers } = await nobody().answer('{ __typename }', undefined, { 'x-request-id': 'mine-1' });
    assert.equal(headers.get('x-request-id'), 'mine-1');
    assert.ok((await asked({})).headers['x-request-id']);
  });
});
