// Operations over graphql-transport-ws: many on one socket, each from its subscribe to its complete.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { token } from '../lib/server.mjs';
import { customer, product, staff } from '../lib/shop.mjs';
import { Socket } from '../lib/socket.mjs';
import { until } from '../lib/wait.mjs';

const bearer = token('staff', 'STAFF');
const STOCK = 'subscription($id: ID!) { productChanged(id: $id) { available } }';
const moreStock = async (productId, delta = 1) => staff().command('adjustStock', { productId, delta });

describe('operations', () => {
  test('queries, mutations and subscriptions all go over one socket', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const socket = await Socket.signedIn(t, ada.bearer);
    assert.deepEqual(await socket.ask('query', '{ me { id } }'), { me: { id: ada.id } });
    const place = 'mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id status } errors { code } } }';
    const { placeOrder } = await socket.ask('mutation', place, { input: { lines: [{ productId: tea, quantity: 2 }] } });
    assert.deepEqual([placeOrder.order.status, placeOrder.errors], ['PENDING', []]);
    const follow = 'subscription($id: ID!) { orderChanged(id: $id) { kind order { status } } }';
    socket.subscribe('subscription', follow, { id: placeOrder.order.id });
    const change = async () => (await socket.result('subscription')).orderChanged;
    assert.deepEqual(await change(), { kind: 'SNAPSHOT', order: { status: 'PENDING' } });
    await ada.pay(placeOrder.order.id);
    assert.deepEqual(await change(), { kind: 'CHANGE', order: { status: 'PAID' } });
  });

  test('one of several in a document is chosen by its name', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    const query = 'query A { a: __typename } query B { b: __typename }';
    socket.send({ id: '1', type: 'subscribe', payload: { query, operationName: 'B', extensions: { any: 'thing' } } });
    assert.deepEqual(await socket.result('1'), { b: 'Query' });
    assert.deepEqual(await socket.next(), { id: '1', type: 'complete' });
  });

  for (const [what, query] of Object.entries({
    'is not there': undefined,
    'cannot be parsed': '{ nothing',
    'is not valid': '{ nothing }',
    'names a variable of nobody': 'query($id: Nothing!) { node(id: $id) { id } }',
    'lacks a variable': 'query($id: ID!) { node(id: $id) { id } }',
    'is a subscription that is not valid': 'subscription { nothing }',
    'is a subscription that lacks a variable': 'subscription($id: ID!) { productChanged(id: $id) { id } }',
  })) {
    test(`one that ${what} gets an error and nothing else, and its id is free`, async (t) => {
      const socket = await Socket.signedIn(t, bearer);
      socket.subscribe('1', query);
      const { id, type, payload } = await socket.next();
      assert.deepEqual([id, type], ['1', 'error'], JSON.stringify(payload));
      assert.ok(payload[0].message);
      assert.deepEqual(await socket.ask('1', '{ __typename }'), { __typename: 'Query' });
      assert.deepEqual(socket.unread, []);
    });
  }

  test('an id is free as soon as its operation has ended', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    for (let turn = 0; turn < 100; turn += 1) await socket.ask('1', '{ __typename }');
    assert.deepEqual(socket.unread, []);
  });

  test('the end of one does not wait for the network to confirm its result: no 40 ms each (TCP_NODELAY)', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    const took = [];
    for (let turn = 0; turn < 30; turn += 1) {
      socket.subscribe('1', '{ __typename }');
      await socket.result('1');
      const result = performance.now();
      assert.deepEqual(await socket.next(), { id: '1', type: 'complete' });
      took.push(performance.now() - result);
    }
    const median = took.sort((a, b) => a - b)[15];
    assert.ok(median < 20, `${median.toFixed(1)} ms from next to complete`);
  });

  test('an id is free as soon as the client has ended its operation', async (t) => {
    const tea = await product(0);
    const socket = await Socket.signedIn(t, bearer);
    for (let turn = 0; turn < 20; turn += 1) {
      socket.subscribe('1', STOCK, { id: tea });
      assert.deepEqual(await socket.result('1'), { productChanged: { available: 0 } });
      socket.complete('1');
    }
    // Without having heard anything, too.
    socket.subscribe('1', STOCK, { id: tea });
    socket.complete('1');
    assert.deepEqual(await socket.ask('2', '{ __typename }'), { __typename: 'Query' });
  });

  test('complete stops the flow, and only of its own operation', async (t) => {
    const tea = await product(0);
    const socket = await Socket.signedIn(t, bearer);
    for (const id of ['stays', 'goes']) {
      socket.subscribe(id, STOCK, { id: tea });
      await socket.result(id);
    }
    socket.complete('goes');
    for (const available of [1, 2, 3]) {
      await moreStock(tea);
      // Product and stock are two streams, so a state in between may be told.
      await until(async () => (await socket.result('stays')).productChanged.available === available, 'the new stock');
    }
    assert.deepEqual(await socket.ask('goes', '{ __typename }'), { __typename: 'Query' });
    assert.deepEqual(socket.unread, []);
  });

  test('complete of an operation that never was is no mistake', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    socket.complete('never');
    assert.deepEqual(await socket.ask('1', '{ __typename }'), { __typename: 'Query' });
  });

  test('49 do not wait for a slow one beside them', async (t) => {
    const tea = await product();
    const socket = await Socket.signedIn(t, bearer);
    // A receipt that nobody will ever have.
    const never = Buffer.from(`${tea.replace('_', '/')}:99:99`).toString('base64url');
    const wait = 'query($id: ID!, $token: String!) { product(id: $id, consistency: { token: $token, timeoutMs: 3000 }) { id } }';
    const begun = Date.now();
    socket.subscribe('slow', wait, { id: tea, token: never });
    for (let n = 1; n < 50; n += 1) socket.subscribe(`${n}`, '{ products(first: 1) { nodes { id } } }');
    const left = new Set(Array.from({ length: 49 }, (_, n) => `${n + 1}`));
    while (left.size > 0) {
      const message = await socket.next();
      assert.notEqual(message.id, 'slow');
      if (message.type === 'complete') left.delete(message.id);
      else assert.equal(message.payload.errors, undefined);
    }
    const took = Date.now() - begun;
    assert.ok(took < 2_000, `${took} ms`);
    assert.deepEqual(await socket.result('slow'), { product: { id: tea } });
    assert.ok(Date.now() - begun >= 2_900, 'it was slow indeed');
  });

  test('one more than may run at once is refused, and none of the others is', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    for (let n = 0; n <= 100; n += 1) socket.subscribe(`${n}`, 'subscription { ordersChanged { kind } }');
    const { id, type, payload } = await socket.next();
    assert.deepEqual([id, type, payload[0].extensions.code], ['100', 'error', 'TOO_MANY_OPERATIONS']);
    socket.complete('0');
    assert.deepEqual(await socket.ask('100', '{ __typename }'), { __typename: 'Query' });
  });
});
