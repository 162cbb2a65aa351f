// npm's graphql-ws, the client that most frontends speak WebSocket by.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { OwnServer, socketUrl, token } from '../lib/server.mjs';
import { customer, product } from '../lib/shop.mjs';
import { Queue, within } from '../lib/wait.mjs';

function client(t, bearer, options = {}) {
  const made = createClient({
    url: socketUrl(),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${bearer}` },
    retryWait: async () => {},
    ...options,
  });
  t.after(() => made.dispose());
  return made;
}

// Nobody listens for a while: that is no close event, and by itself this client would not try again.
const PERSISTENT = { retryAttempts: 200, retryWait: () => new Promise((resolve) => setTimeout(resolve, 25)), shouldRetry: () => true };

/** The results of a subscription, one after the other. What is to be kept of each is kept when it comes, not when it is taken. */
function follow(t, graphql, payload, keep = () => {}) {
  const results = new Queue();
  const stop = graphql.subscribe(payload, {
    next: ({ data, errors }) => {
      if (errors) return results.end(new Error(JSON.stringify(errors)));
      keep(data);
      results.push(data);
    },
    error: (error) => results.end(error instanceof Error ? error : new Error(error.message ?? JSON.stringify(error))),
    complete: () => results.end(new Error('it has ended')),
  });
  t.after(stop);
  return Object.assign(results, { stop });
}

const CHANGES = `subscription($id: ID!, $after: String) {
  orderChanged(id: $id, after: $after) { kind cursor skippedVersions order { version status } event { type version } }
}`;
const LIST = 'subscription($after: String) { ordersChanged(after: $after) { kind cursor order { id version } event { id } } }';

describe('the client of graphql-ws', () => {
  test('asks, and iterates over what it asked for', async (t) => {
    const ada = await customer();
    const graphql = client(t, ada.bearer);
    for await (const { data } of graphql.iterate({ query: '{ me { id } }' })) assert.deepEqual(data, { me: { id: ada.id } });
  });

  test('is told of every version of an order, in order, until it stops', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 2]]);
    const changes = follow(t, client(t, ada.bearer), { query: CHANGES, variables: { id } });
    assert.equal((await changes.take()).orderChanged.kind, 'SNAPSHOT');
    await ada.command('updateOrder', { orderId: id, note: 'by the back door' });
    await ada.pay(id);
    await ada.command('cancelOrder', { orderId: id });
    for (const [type, version] of [['ORDER_UPDATED', 2], ['ORDER_PAID', 3], ['ORDER_CANCELLED', 4]]) {
      assert.deepEqual((await changes.take()).orderChanged.event, { type, version });
    }
    changes.stop();
    await assert.rejects(changes.take(), /it has ended/);
  });

  test('is told why when it asks for nonsense', async (t) => {
    const results = follow(t, client(t, token('staff', 'STAFF')), { query: 'subscription { nothing }' });
    await assert.rejects(results.take(), /nothing/);
  });

  test('gives up when its token is bad: 4403 is not worth trying again', async (t) => {
    let tries = 0;
    const graphql = client(t, 'nonsense', { on: { connecting: () => (tries += 1) }, shouldRetry: (event) => event.code !== 4403 });
    const ended = new Promise((resolve) => graphql.subscribe({ query: '{ __typename }' }, { next() {}, complete() {}, error: resolve }));
    assert.equal((await within(ended, 'the end')).code, 4403);
    assert.equal(tries, 1);
  });

  test('keeps one socket for many operations, and its own pings are answered', async (t) => {
    const pongs = new Queue();
    let opened = 0;
    const on = { opened: () => (opened += 1), pong: (received) => received && pongs.push(received) };
    const graphql = client(t, token('staff', 'STAFF'), { lazy: false, keepAlive: 100, on });
    const asked = Array.from({ length: 20 }, () => follow(t, graphql, { query: '{ __typename }' }).take());
    for (const data of await Promise.all(asked)) assert.deepEqual(data, { __typename: 'Query' });
    await pongs.take('a pong');
    await pongs.take('another');
    assert.equal(opened, 1);
  });
});

describe('after a restart the client goes on where it was', () => {
  test('one order: nothing is missing, nothing comes twice, though things happened meanwhile', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 2]]);
    let server = await OwnServer.start(t);
    let cursor;
    let connected = false;
    const codes = new Queue();
    const graphql = client(t, ada.bearer, {
      url: () => socketUrl(server.url),
      ...PERSISTENT,
      on: {
        connected: () => (connected = true),
        closed: ({ code }) => {
          if (connected) codes.push(code);
          connected = false;
        },
      },
    });
    // Written anew for every connection.
    const variables = { id, get after() { return cursor; } };
    const keep = ({ orderChanged }) => (cursor = orderChanged.cursor);
    const changes = follow(t, graphql, { query: CHANGES, variables }, keep);
    const next = async () => {
      const { orderChanged } = await changes.take();
      assert.equal(orderChanged.skippedVersions, 0);
      return [orderChanged.kind, orderChanged.order.version];
    };
    assert.deepEqual(await next(), ['SNAPSHOT', 1]);
    const note = async (text) => ada.command('updateOrder', { orderId: id, note: text });
    await note('before');
    assert.deepEqual(await next(), ['CHANGE', 2]);
    for (let turn = 0; turn < 2; turn += 1) {
      await server.stop();
      assert.equal(await codes.take('the end of the socket'), 1012);
      for (let n = 0; n < 3; n += 1) await note(`meanwhile ${turn} ${n}`);
      server = await OwnServer.start(t);
      await note(`after ${turn}`);
      for (let n = 0; n < 4; n += 1) assert.deepEqual(await next(), ['CHANGE', 3 + 4 * turn + n]);
    }
    await ada.command('cancelOrder', { orderId: id });
    assert.deepEqual(await next(), ['CHANGE', 11]);
    assert.deepEqual(changes.waiting, []);
  });

  test('a list: each event of each order once, in the order of its versions', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    let server = await OwnServer.start(t);
    let cursor;
    const graphql = client(t, ada.bearer, {
      url: () => socketUrl(server.url),
      ...PERSISTENT,
    });
    const keep = ({ ordersChanged }) => (cursor = ordersChanged.cursor);
    const changes = follow(t, graphql, { query: LIST, variables: { get after() { return cursor; } } }, keep);
    const heard = [];
    const hear = async () => {
      const { ordersChanged } = await changes.take('a change');
      assert.equal(ordersChanged.kind, 'CHANGE');
      heard.push(ordersChanged);
    };
    // The list starts with what happens next: orders are placed until it has been heard to listen.
    const first = hear();
    let listening = false;
    first.then(() => (listening = true), () => {});
    const placed = [];
    while (!listening && placed.length < 100) placed.push(await ada.place([[tea, 1]]));
    await first;
    const from = placed.indexOf(heard[0].order.id);
    const ids = placed.slice(from);
    const unpaid = ids.slice(0, 5);
    let expected = ids.length;
    for (let turn = 0; turn < 2; turn += 1) {
      for (const id of unpaid) await ada.command('updateOrder', { orderId: id, note: `${turn}` });
      await server.stop();
      ids.push(await ada.place([[tea, 1]]));
      await ada.pay(ids.at(-1));
      server = await OwnServer.start(t);
      ids.push(await ada.place([[tea, 1]]));
      expected += unpaid.length + 3;
      while (heard.length < expected) await hear();
    }
    assert.equal(new Set(heard.map(({ event }) => event.id)).size, heard.length, 'each once');
    for (const id of ids) {
      const versions = heard.filter(({ order }) => order.id === id).map(({ order }) => order.version);
      assert.deepEqual(versions, versions.map((_, index) => index + 1), id);
    }
    assert.deepEqual(changes.waiting, []);
  });
});
