// What the GraphQL specification promises about requests, and clients rely on without thinking of it.
// https://spec.graphql.org/September2025/

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import { customer, product, staff } from '../lib/shop.mjs';
import { Socket } from '../lib/socket.mjs';

const GRAPHQL = { accept: 'application/graphql-response+json' };

/** A request that is refused before anything is executed. */
async function refused(query, variables, caller = staff()) {
  const answer = await caller.answer(query, variables, GRAPHQL);
  assert.deepEqual([answer.status, 'data' in answer], [400, false], JSON.stringify(answer));
  assert.ok(answer.errors[0].message);
}

/** How many orders somebody has placed. One more makes it sure: what came before it is visible when it is. */
async function orders(customer, tea) {
  await customer.see(await customer.command('placeOrder', { lines: [{ productId: tea, quantity: 1 }] }));
  return (await customer.ask('{ orders { totalCount } }')).orders.totalCount - 1;
}

describe('a variable that is left out (section 6.4.1)', () => {
  test('leaves an argument its default', async () => {
    const query = `query($from: DateTime!, $to: DateTime!, $by: SalesGranularity) {
      salesReport(from: $from, to: $to, granularity: $by) { from }
    }`;
    await staff().ask(query, { from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' });
  });

  test('leaves a field of an input its default', async () => {
    const orders = 'query($way: SortDirection) { orders(first: 1, sort: { field: NUMBER, direction: $way }) { nodes { id } } }';
    await staff().ask(orders, {});
    const query = `mutation($sku: String!, $stock: Int) {
      createProduct(input: { sku: $sku, name: "Tea", price: { amount: "1", currencyCode: "GBP" }, stock: $stock }) { errors { code } }
    }`;
    assert.deepEqual((await staff().ask(query, { sku: randomUUID() })).createProduct.errors, []);
  });

  test('takes the default of its own', async () => {
    const query = 'query($n: Int = 1) { products(first: $n) { nodes { id } } }';
    assert.equal((await staff().ask(query, {})).products.nodes.length, 1);
  });

  test('is as good as no argument where there is no default', async () => {
    const query = 'query($filter: ProductFilter, $n: Int!) { products(first: $n, filter: $filter) { nodes { id } } }';
    assert.equal((await staff().ask(query, { n: 2 })).products.nodes.length, 2);
  });

  test('refuses the request when it must be there', async () => {
    await refused('query($id: ID!) { node(id: $id) { id } }', {});
    await refused('query($id: ID!) { node(id: $id) { id } }', { id: null });
  });

  test('refuses the whole request: no other command of it is carried out', async () => {
    const [ada, tea] = [await customer(), await product()];
    const query = `mutation($place: PlaceOrderInput!, $pay: PayOrderInput!) {
      placeOrder(input: $place) { receipt { aggregateId } }
      payOrder(input: $pay) { receipt { aggregateId } }
    }`;
    await ada.answer(query, { place: { lines: [{ productId: tea, quantity: 1 }] } }, GRAPHQL);
    assert.equal(await orders(ada, tea), 0);
  });
});

describe('values (section 3)', () => {
  test('one value stands for a list of one', async () => {
    await staff().ask('query($is: [OrderStatus!]) { orders(first: 1, filter: { status: $is }) { nodes { id } } }', { is: 'PAID' });
    await staff().ask('{ orders(first: 1, filter: { status: PAID }) { nodes { id } } }');
  });

  test('a value of an enum is a name and not a text', async () => {
    await refused('{ orders(first: 1, filter: { status: "PAID" }) { nodes { id } } }');
  });

  test('a field of an input stands once', async () => {
    await refused('{ products(first: 1, filter: { search: "a", search: "b" }) { nodes { id } } }');
  });

  for (const [what, escaped] of Object.entries({ 'by a pair': '\\uD83C\\uDF75', 'by its number': '\\u{1F375}' })) {
    test(`a text may hold any letter, also written ${what}`, async () => {
      const sku = randomUUID();
      const input = `{ sku: "${sku}", name: "Tea ${escaped}", price: { amount: "1", currencyCode: "GBP" } }`;
      const { createProduct } = await staff().ask(`mutation { createProduct(input: ${input}) { errors { code } product { name } } }`);
      assert.deepEqual(createProduct, { errors: [], product: { name: 'Tea 🍵' } });
    });
  }

  test('variables that nobody declared are no mistake', async () => {
    await staff().ask('{ __typename }', { more: 1 });
  });
});

describe('what is selected (section 6.3.2)', () => {
  test('twice under one name is one field: a command is carried out once', async () => {
    const [ada, tea] = [await customer(), await product()];
    const query = `mutation($input: PlaceOrderInput!) { ...Receipt ...Errors }
      fragment Receipt on Mutation { placeOrder(input: $input) { receipt { aggregateId token } } }
      fragment Errors on Mutation { placeOrder(input: $input) { errors { code } } }`;
    const { placeOrder } = await ada.ask(query, { input: { lines: [{ productId: tea, quantity: 1 }] } });
    assert.deepEqual(placeOrder.errors, []);
    assert.equal(await orders(ada, tea), 1);
  });

  test('and skipped altogether leaves an object without fields, not nothing', async () => {
    const query = 'query($all: Boolean!) { products(first: 1) { nodes @include(if: $all) { id } } }';
    assert.deepEqual(await staff().ask(query, { all: false }), { products: {} });
    assert.deepEqual(await staff().ask('query($all: Boolean!) { me @include(if: $all) { id } }', { all: false }), {});
  });

  test('comes in the order of the question, whatever the type of what is found', async () => {
    const query = `query($id: ID!) {
      node(id: $id) { ... on Order { updatedAt id } ... on Product { id updatedAt } }
    }`;
    const { node } = await staff().ask(query, { id: await product() });
    assert.deepEqual(Object.keys(node), ['id', 'updatedAt']);
  });

  test('may hang on a variable, on __typename too', async () => {
    await staff().ask('query($t: Boolean!) { __typename @include(if: $t) a: __typename }', { t: true });
  });

  test('may carry only directives that exist, on __typename too', async () => {
    await refused('{ me @nothing { id } }');
    await refused('{ __typename @nothing }');
  });

  test('under one name must be one thing', async () => {
    await refused('{ a: me { id } a: products { totalCount } }');
    await refused('{ products(first: 1) { totalCount } products(first: 2) { totalCount } }');
    await refused('{ products(first: 1) { nodes { id: sku id } } }');
  });
});

describe('operations (section 5.2)', () => {
  test('must be named when there are several', async () => {
    await refused('query A { __typename } query B { __typename }');
  });

  test('must not be looked for in vain', async () => {
    const response = await fetch(staff().url, {
      method: 'POST',
      headers: { ...staff().headers, 'content-type': 'application/json', ...GRAPHQL },
      body: JSON.stringify({ query: 'query A { __typename }', operationName: 'B' }),
    });
    assert.equal(response.status, 400);
  });

  test('of a subscription have one root field and no more', async (t) => {
    const socket = await Socket.signedIn(t, staff().bearer);
    const query = 'subscription($id: ID!) { a: productChanged(id: $id) { id } b: productChanged(id: $id) { sku } }';
    socket.subscribe('1', query, { id: await product() });
    assert.equal((await socket.next()).type, 'error');
  });

  for (const [what, query] of Object.entries({
    'a fragment': 'subscription($id: ID!) { ...F } fragment F on Subscription { productChanged(id: $id) { id } }',
    'an inline fragment': 'subscription($id: ID!) { ... on Subscription { productChanged(id: $id) { id } } }',
  })) {
    test(`of a subscription may have it in ${what}`, async (t) => {
      const [tea, socket] = [await product(), await Socket.signedIn(t, staff().bearer)];
      socket.subscribe('1', query, { id: tea });
      assert.deepEqual(await socket.result('1'), { productChanged: { id: tea } });
    });
  }
});

test('every error has a code', async () => {
  const coded = async (query, variables) => {
    const { errors } = await staff().answer(query, variables);
    assert.ok(errors[0].extensions?.code, `${query}: ${JSON.stringify(errors[0])}`);
  };
  await coded('{ nothing');
  await coded('{ nothing }');
  await coded('{ products(first: 101) { totalCount } }');
  await coded('query A { __typename } query B { __typename }');
  await coded('query($id: ID!) { node(id: $id) { id } }', {});
});
