// Requests that nobody means well. Each gets an answer or a close within two seconds, and right after it a plain question is answered
// within half a second.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { staff } from '../lib/shop.mjs';
import { Socket } from '../lib/socket.mjs';
import { Target } from '../lib/target.mjs';

const target = new Target();
before(() => target.start());
after(() => target.stop());

const many = (count, one) => Array.from({ length: count }, (_, n) => one(n)).join(' ');
const deep = (levels, open, middle, close) => `${open.repeat(levels)}${middle}${close.repeat(levels)}`;
/** Fragments that spread each other twice: two to the power of the levels, when walked. */
const bomb = (levels, end = '__typename') =>
  `{ ...F0 } ${many(levels, (n) => `fragment F${n} on Query { ...F${n + 1} ...F${n + 1} }`)} fragment F${levels} on Query { ${end} }`;
/** Whichever bound is met first: of tokens, or of the parser's own recursion. */
const TOO_DEEP = /^(TOO_MUCH_TOKENS|GRAPHQL_PARSE_FAILED)$/;
const signedIn = () => ({ headers: staff().headers });

/** Documents that are refused, and with which code. */
const refusals = {
  'nesting, 50 levels': [`{ me ${deep(50, '{ me ', '{ id }', '}')} }`, 'TOO_MUCH_DEPTH'],
  'nesting, 100,000 levels': [deep(100_000, '{ a ', '', '}'), TOO_DEEP],
  'nesting that does not end': ['{ a '.repeat(100_000), TOO_DEEP],
  'nested inline fragments, 100,000 levels': [deep(100_000, '{ ... ', '{ id }', '}'), TOO_DEEP],
  'nested lists as a value': [`{ products(first: ${deep(100_000, '[', '', ']')}) { totalCount } }`, TOO_DEEP],
  'nested objects as a value': [`{ products(filter: ${deep(50_000, '{ a: ', '1', '}')}) { totalCount } }`, TOO_DEEP],
  'nested lists as a type': [`query($a: ${deep(100_000, '[', 'Int', ']')}) { __typename }`, TOO_DEEP],
  'nested lists in a directive': [`{ __typename @include(if: ${deep(100_000, '[', '', ']')}) }`, TOO_DEEP],
  '10,000 aliases': [`{ ${many(10_000, (n) => `a${n}: __typename`)} }`, 'TOO_MUCH_TOKENS'],
  '1,000 aliases': [`{ ${many(1_000, (n) => `a${n}: __typename`)} }`, 'TOO_MUCH_ALIASES'],
  '1,000 directives': [`{ __typename ${'@include(if: true)'.repeat(1_000)} }`, 'TOO_MUCH_DIRECTIVES'],
  '1,000 directives of nobody': [`{ __typename ${'@a'.repeat(1_000)} }`, 'TOO_MUCH_DIRECTIVES'],
  'a fragment bomb that goes deep': [
    `{ me { ...F0 } } ${many(12, (n) => `fragment F${n} on User { orders { nodes { customer { ...F${n + 1} } } } }`)} fragment F12 on User { id }`,
    /^(TOO_MUCH_|GRAPHQL_VALIDATION)/,
  ],
  'fragments in a circle': ['{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }'],
  'a fragment that spreads itself': ['{ ...A } fragment A on Query { me { id } ...A }'],
  'a chain of 2,000 fragments': [
    `{ ...F0 } ${many(2_000, (n) => `fragment F${n} on Query { ...F${n + 1} }`)} fragment F2000 on Query { __typename }`,
  ],
  '1,000 fragments that nobody spreads': [`{ __typename } ${many(1_000, (n) => `fragment F${n} on Query { __typename }`)}`, 'GRAPHQL_VALIDATION_FAILED'],
  '2,000 variables that nobody uses': [`query(${many(2_000, (n) => `$v${n}: Int`)}) { __typename }`, 'GRAPHQL_VALIDATION_FAILED'],
  '5,000 fields that do not exist': [`{ ${many(5_000, (n) => `x${n}`)} }`, 'GRAPHQL_VALIDATION_FAILED'],
  'lists in lists': ['{ orders(first: 100) { nodes { history(first: 100) { nodes { id } } } } }', 'TOO_MUCH_COST'],
  'a number of 100,000 digits': [`{ products(first: ${'9'.repeat(100_000)}) { totalCount } }`, 'GRAPHQL_VALIDATION_FAILED'],
};

describe('documents that are refused, from anybody', () => {
  for (const [what, [query, code]] of Object.entries(refusals)) {
    test(what, async () => {
      await target.survives(async () => {
        const answer = await target.send({ query }, { headers: { accept: 'application/graphql-response+json' } });
        assert.equal(answer.status, 400, `${answer.took} ms ${JSON.stringify(answer.errors)?.slice(0, 200)}`);
        assert.ok(answer.errors[0].message);
        if (code) assert.match(answer.code, new RegExp(code));
      });
    });
  }

  test('the answer is short, however long the document was', async () => {
    const long = [];
    for (const [what, [query]] of Object.entries(refusals)) {
      await target.survives(async () => {
        const { bytes } = await target.send({ query });
        if (bytes > 64 * 1024) long.push(`${what}: ${query.length} bytes asked, ${bytes} answered`);
      });
    }
    assert.deepEqual(long, []);
  });
});

describe('documents that are odd and answered, from those who are signed in', () => {
  const odd = {
    '10,000 times the same field': `{ ${'__typename '.repeat(10_000)} }`,
    '10,000 times the same field in a list': `{ products(first: 1) { nodes { ${'id '.repeat(10_000)} } } }`,
    '300 times the same question': `{ ${'products(first: 1) { nodes { id } } '.repeat(300)} }`,
    '5,000 times the same fragment': `{ ${'...A '.repeat(5_000)} } fragment A on Query { __typename }`,
    '900 KB of blanks': `{ __typename }${' '.repeat(900_000)}`,
    '200 KB of comment': `#${'x'.repeat(200_000)}\n{ __typename }`,
    '100 KB to search for': `{ products(filter: { search: "${'a b '.repeat(25_000)}" }) { totalCount } }`,
    'a search that would be an expression': '{ products(filter: { search: "(a+)+$ .* \\\\ [ ^ $where" }) { totalCount } }',
    // Fields that are merged are executed once, so that these ask for nothing but one field.
    'a fragment bomb of 22 levels': bomb(22),
    'a fragment bomb of 60 levels': bomb(60),
    'a fragment bomb that is ten wide': `{ ...F0 } ${many(12, (n) => `fragment F${n} on Query { ${`...F${n + 1} `.repeat(10)} }`)} fragment F12 on Query { __typename }`,
    'the whole schema': '{ __schema { types { name fields { name args { name type { name } } type { name ofType { name } } } } } }',
    'the schema in circles': `{ __schema { types { ${deep(6, 'fields { type { ', 'name', '} }')} } } }`,
    'the schema, 25 times': `{ ${many(25, (n) => `a${n}: __schema { types { name fields { name type { name } } } }`)} }`,
  };
  for (const [what, query] of Object.entries(odd)) {
    test(what, async () => {
      await target.survives(async () => {
        const answer = await target.send({ query }, signedIn());
        if (answer.data) assert.equal(answer.status, 200);
        else assert.ok(answer.code, JSON.stringify(answer.errors)?.slice(0, 200));
      });
    });
  }

  test('a cost does not hide in the default of a variable', async () => {
    await target.survives(async () => {
      const nested = (size) => `orders(first: ${size}) { nodes { history(first: ${size}) { nodes { id } } } }`;
      const open = await target.send({ query: `{ ${nested(100)} }` }, signedIn());
      const hidden = await target.send({ query: `query($n: Int = 100) { ${nested('$n')} }` }, signedIn());
      assert.deepEqual([open.code, hidden.code], ['TOO_MUCH_COST', 'TOO_MUCH_COST'], JSON.stringify(hidden.extensions));
    });
  });
});

describe('bodies', () => {
  const query = 'query($any: String) { products(filter: { search: $any }) { totalCount } }';
  const bodies = {
    'a batch of 1,000': [JSON.stringify(Array(1_000).fill({ query: '{ __typename }' })), 400, 'BAD_USER_INPUT'],
    '500,000 brackets': ['['.repeat(500_000), 400, 'BAD_USER_INPUT'],
    'nested variables': [`{"query":"{ __typename }","variables":{"a":${deep(100_000, '[', '', ']')}}}`, 400, 'BAD_USER_INPUT'],
    'nested extensions': [`{"query":"{ __typename }","extensions":{"a":${deep(100_000, '[', '', ']')}}}`, 400, 'BAD_USER_INPUT'],
    'more than a body may have': [JSON.stringify({ query: ' '.repeat(2_000_000) }), 413, 'BAD_USER_INPUT'],
    'what is not UTF-8': [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400, 'BAD_USER_INPUT'],
    'nothing': ['', 400, 'BAD_USER_INPUT'],
    '900 KB in one variable': [JSON.stringify({ query, variables: { any: 'a b '.repeat(225_000) } })],
    '20,000 variables that nobody declared': [JSON.stringify({ query, variables: Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [n, n])) })],
    '20,000 in a list': [
      JSON.stringify({
        query: 'query($of: [String!]) { products(filter: { sku: $of }) { totalCount } }',
        variables: { of: Array.from({ length: 20_000 }, (_, n) => `${n}`) },
      }),
    ],
    'an order of 5,000 lines': [
      JSON.stringify({
        query: 'mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { errors { code } } }',
        variables: { input: { lines: Array(5_000).fill({ productId: 'product_01900000000070008000000000000101', quantity: 1 }) } },
      }),
    ],
  };
  for (const [what, [body, status, code]] of Object.entries(bodies)) {
    test(what, async () => {
      await target.survives(async () => {
        const answer = await target.send(body, signedIn());
        assert.equal(answer.status, status ?? 200, JSON.stringify(answer).slice(0, 200));
        if (code) assert.equal(answer.code, code);
      });
    });
  }

  test('one that is packed is not unpacked', async () => {
    await target.survives(async () => {
      const packed = gzipSync(JSON.stringify({ query: `{ __typename }${' '.repeat(50_000_000)}` }));
      const { status } = await target.send(packed, { headers: { ...staff().headers, 'content-encoding': 'gzip' } });
      assert.ok(status >= 400 && status < 500, `${status}`);
    });
  });

  test('a question of 100 KB in the address, and a header of 100 KB', async () => {
    await target.survives(async () => {
      const path = `?${new URLSearchParams({ query: `{ __typename }${' '.repeat(100_000)}` })}`;
      const { status } = await target.send(undefined, { method: 'GET', path });
      assert.ok([200, 414, 431].includes(status), `${status}`);
    });
    await target.survives(async () => {
      const { status } = await target.send({ query: '{ __typename }' }, { headers: { authorization: `Bearer ${'x'.repeat(100_000)}` } });
      assert.ok([400, 401, 431].includes(status), `${status}`);
    });
  });
});

describe('over a socket', () => {
  for (const what of ['nesting, 50 levels', 'a fragment bomb that goes deep', 'fragments in a circle']) {
    test(`${what}: an error, and the socket goes on`, async (t) => {
      await target.survives(async () => {
        const socket = await Socket.signedIn(t, undefined, { server: target.url });
        socket.subscribe('1', refusals[what][0]);
        assert.equal((await socket.next('an error', 2_000)).type, 'error');
        assert.deepEqual(await socket.ask('2', '{ __typename }'), { __typename: 'Query' });
      });
    });
  }

  test('a 5,000-fold ping: as many pongs', async (t) => {
    await target.survives(async () => {
      const socket = await Socket.signedIn(t, undefined, { server: target.url });
      for (let n = 0; n < 5_000; n += 1) socket.send({ type: 'ping', payload: { n } });
      for (let n = 0; n < 5_000; n += 1) assert.deepEqual((await socket.next()).payload, { n });
    });
  });
});
