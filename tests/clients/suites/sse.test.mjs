// Server-sent events, by npm's graphql-sse in its distinct-connections mode.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createClient } from 'graphql-sse';

import { Line } from '../lib/line.mjs';
import { OwnServer, graphqlUrl, token } from '../lib/server.mjs';
import { customer, product, staff } from '../lib/shop.mjs';
import { Queue, until, within } from '../lib/wait.mjs';

function client(t, caller, options = {}) {
  const made = createClient({ url: graphqlUrl(), headers: () => caller.headers, retryAttempts: 0, ...options });
  t.after(() => made.dispose());
  return made;
}

function follow(t, graphql, payload) {
  const results = new Queue();
  const ended = {};
  ended.promise = new Promise((resolve) => Object.assign(ended, { resolve }));
  const stop = graphql.subscribe(payload, {
    next: (result) => results.push(result),
    error: (error) => ended.resolve(error),
    complete: () => ended.resolve('complete'),
  });
  t.after(stop);
  return { stop, next: async () => results.take('an event'), ended: (ms) => within(ended.promise, 'the end of a stream', ms), results };
}

const FOLLOW = `subscription($id: ID!, $after: String) {
  orderChanged(id: $id, after: $after) { kind cursor order { version status } event { type } }
}`;

describe('the client of graphql-sse', () => {
  test('asks, and its stream ends with the answer', async (t) => {
    const ada = await customer();
    const query = follow(t, client(t, ada), { query: 'query($n: Int) { me { id } products(first: $n) { nodes { id } } }', variables: { n: 1 } });
    const { data, errors } = await query.next();
    assert.deepEqual([data.me.id, data.products.nodes.length, errors], [ada.id, 1, undefined]);
    assert.equal(await query.ended(), 'complete');
    assert.deepEqual(query.results.waiting, []);
  });

  test('carries out a command, once', async (t) => {
    const [ada, tea] = [await customer(), await product(5)];
    const query = 'mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { order { status } errors { code } } }';
    const place = follow(t, client(t, ada), { query, variables: { input: { lines: [{ productId: tea, quantity: 2 }] } } });
    assert.deepEqual((await place.next()).data, { placeOrder: { order: { status: 'PENDING' }, errors: [] } });
    assert.equal(await place.ended(), 'complete');
    assert.equal((await ada.ask('{ orders { totalCount } }')).orders.totalCount, 1);
  });

  test('follows an order through its whole life', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 3]]);
    const changes = follow(t, client(t, ada), { query: FOLLOW, variables: { id } });
    const next = async () => {
      const { data, errors } = await changes.next();
      assert.equal(errors, undefined);
      const { kind, order, event } = data.orderChanged;
      return [kind, event?.type ?? null, order.status, order.version];
    };
    assert.deepEqual(await next(), ['SNAPSHOT', null, 'PENDING', 1]);
    const line = (await ada.ask('query($id: ID!) { order(id: $id) { lines { id } } }', { id })).order.lines[0].id;
    const steps = [
      [ada, 'updateOrder', { note: 'by the back door' }, 'ORDER_UPDATED', 'PENDING'],
      [ada, 'payOrder', { reference: 'card-4242' }, 'ORDER_PAID', 'PAID'],
      [staff(), 'shipOrder', { lines: [{ lineId: line, quantity: 1 }] }, 'ORDER_SHIPPED', 'PARTIALLY_SHIPPED'],
      [staff(), 'shipOrder', {}, 'ORDER_SHIPPED', 'SHIPPED'],
      [staff(), 'deliverOrder', {}, 'ORDER_DELIVERED', 'DELIVERED'],
      [staff(), 'refundOrder', { lines: [{ lineId: line, quantity: 1 }] }, 'ORDER_REFUNDED', 'DELIVERED'],
      [staff(), 'refundOrder', {}, 'ORDER_REFUNDED', 'REFUNDED'],
    ];
    for (const [index, [who, step, input, event, status]] of steps.entries()) {
      await who.command(step, { orderId: id, expectedVersion: index + 1, ...input });
      assert.deepEqual(await next(), ['CHANGE', event, status, index + 2], step);
    }
    // A new name reaches the order too, without being a version of it.
    await ada.command('updateUserProfile', { userId: ada.id, displayName: 'Countess Lovelace' });
    assert.deepEqual(await next(), ['CHANGE', 'CUSTOMER_RENAMED', 'REFUNDED', 8]);
    assert.deepEqual(changes.results.waiting, []);
  });

  test('events come when they happen, not when the network has confirmed what came before: no 40 ms (TCP_NODELAY)', async (t) => {
    const [ada, took] = [client(t, await customer()), []];
    for (let turn = 0; turn < 20; turn += 1) {
      const begun = performance.now();
      assert.equal(await follow(t, ada, { query: '{ products(first: 1) { nodes { id } } }' }).ended(), 'complete');
      took.push(performance.now() - begun);
    }
    const median = took.sort((a, b) => a - b)[10];
    assert.ok(median < 30, `${median.toFixed(1)} ms for a query by events`);
  });

  test('goes on after the last cursor, with nothing lost or repeated', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 1]]);
    const graphql = client(t, ada);
    const first = follow(t, graphql, { query: FOLLOW, variables: { id } });
    const { cursor } = (await first.next()).data.orderChanged;
    first.stop();
    await ada.pay(id);
    await ada.command('cancelOrder', { orderId: id });
    const second = follow(t, graphql, { query: FOLLOW, variables: { id, after: cursor } });
    for (const version of [2, 3]) {
      const { kind, order } = (await second.next()).data.orderChanged;
      assert.deepEqual([kind, order.version], ['CHANGE', version]);
    }
    assert.deepEqual(second.results.waiting, []);
  });
});

/** A fetch that keeps the id of the last event and sends it when it is asked again, as a browser's EventSource does. */
function remembering() {
  const fetchFn = async (url, init) => {
    const headers = { ...init.headers, ...(fetchFn.last && { 'last-event-id': fetchFn.last }) };
    const response = await fetch(url, { ...init, headers });
    let text = '';
    const watched = new TransformStream({
      transform(chunk, controller) {
        const lines = (text + new TextDecoder().decode(chunk)).split('\n');
        text = lines.pop();
        for (const line of lines) if (line.startsWith('id: ')) fetchFn.last = line.slice(4);
        controller.enqueue(chunk);
      },
    });
    const { status, headers: told } = response;
    return new Response(response.body.pipeThrough(watched), { status, headers: told });
  };
  fetchFn.last = '';
  return fetchFn;
}

describe('a reader that was cut off goes on with Last-Event-ID', () => {
  // Neither of them asks for a cursor.
  const ONE = 'subscription($id: ID!) { orderChanged(id: $id) { kind order { version } } }';
  const LIST = 'subscription { ordersChanged { kind order { id version } } }';

  const over = (t, line, caller) => {
    const fetchFn = remembering();
    const retry = () => new Promise((resolve) => setTimeout(resolve, 50));
    return { fetchFn, graphql: client(t, caller, { url: graphqlUrl(line.url), fetchFn, retry, retryAttempts: 100 }) };
  };

  test('in the history of an order: each version once, by the retries of the client itself', async (t) => {
    const [ada, tea, line] = [await customer(), await product(), await Line.open(t)];
    const id = await ada.place([[tea, 1]]);
    const { graphql } = over(t, line, ada);
    const stream = follow(t, graphql, { query: ONE, variables: { id } });
    const next = async () => {
      const { kind, order } = (await stream.next()).data.orderChanged;
      return [kind, order.version];
    };
    assert.deepEqual(await next(), ['SNAPSHOT', 1]);
    for (const first of [2, 4, 6]) {
      line.cut();
      for (const version of [first, first + 1]) await ada.command('updateOrder', { orderId: id, note: `ring ${version} times` });
      line.mend();
      for (const version of [first, first + 1]) assert.deepEqual(await next(), ['CHANGE', version]);
    }
    await ada.pay(id);
    assert.deepEqual(await next(), ['CHANGE', 8]);
    assert.deepEqual(stream.results.waiting, []);
  });

  test('in a list in which nothing had happened yet', async (t) => {
    const [ada, tea, line] = [await customer(), await product(), await Line.open(t)];
    const { graphql, fetchFn } = over(t, line, ada);
    const stream = follow(t, graphql, { query: LIST });
    await until(() => fetchFn.last, 'the place where the list begins');
    line.cut();
    const placed = [await ada.place([[tea, 1]]), await ada.place([[tea, 2]])];
    line.mend();
    placed.push(await ada.place([[tea, 3]]));
    for (const id of placed) assert.deepEqual((await stream.next()).data.ordersChanged, { kind: 'CHANGE', order: { id, version: 1 } });
    assert.deepEqual(stream.results.waiting, []);
  });

  test('what is no id is refused before the stream begins, in words', async () => {
    const ada = await customer();
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream', 'last-event-id': 'nonsense' };
    const { status, errors } = await ada.answer(LIST, undefined, headers);
    assert.equal(status, 400);
    assert.equal(errors[0].extensions.code, 'BAD_USER_INPUT');
    assert.match(errors[0].message, /Last-Event-ID/);
  });
});

describe('the end of a stream', () => {
  test('by the client: nothing comes any more, and the other streams go on', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 1]]);
    const graphql = client(t, ada);
    const [stays, goes] = [1, 2].map(() => follow(t, graphql, { query: FOLLOW, variables: { id } }));
    for (const stream of [stays, goes]) assert.equal((await stream.next()).data.orderChanged.kind, 'SNAPSHOT');
    goes.stop();
    assert.equal(await goes.ended(), 'complete');
    await ada.pay(id);
    assert.equal((await stays.next()).data.orderChanged.order.status, 'PAID');
    assert.deepEqual(goes.results.waiting, []);
  });

  test('by a server that goes away: the stream is completed, and the client can come back', async (t) => {
    const server = await OwnServer.start(t);
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 1]]);
    const stream = follow(t, client(t, ada, { url: graphqlUrl(server.url) }), { query: FOLLOW, variables: { id } });
    await stream.next();
    const ended = server.stop();
    assert.equal(await stream.ended(), 'complete');
    assert.deepEqual(await ended, { code: 0, signal: null });
  });

  test('by an order that is not there', async (t) => {
    const stream = follow(t, client(t, await customer()), { query: FOLLOW, variables: { id: 'order_01900000000070008000000000000201' } });
    assert.equal((await stream.next()).errors[0].extensions.code, 'NOT_FOUND');
    assert.equal(await stream.ended(), 'complete');
  });
});

describe('what cannot begin', () => {
  for (const [what, query] of Object.entries({
    'does not parse': '{ nothing',
    'is not valid': '{ nothing }',
    'is a subscription that is not valid': 'subscription { nothing }',
    'is nothing': '',
  })) {
    test(`a document that ${what}: an error that the client can read`, async (t) => {
      const stream = follow(t, client(t, staff()), { query });
      const [end, told] = [await stream.ended(), stream.results.waiting];
      // Either the request is refused, or its only event says so.
      if (end instanceof Error) assert.ok(end.response?.status >= 400 && end.response.status < 500, `${end}`);
      else assert.ok(told.length === 1 && told[0].errors?.[0].message, JSON.stringify(told));
    });
  }

  test('a bad token: 401, which is not worth trying again', async (t) => {
    const stream = follow(t, client(t, { headers: { authorization: 'Bearer nonsense' } }), { query: '{ __typename }' });
    assert.equal((await stream.ended()).response.status, 401);
  });

  test('no token: the one event says so', async (t) => {
    const stream = follow(t, client(t, { headers: {} }), { query: '{ me { id } }' });
    assert.equal((await stream.next()).errors[0].extensions.code, 'UNAUTHENTICATED');
    assert.equal(await stream.ended(), 'complete');
  });
});

test('a stream does not outlive its token, as a socket does not', async (t) => {
  const [ada, tea] = [await customer(), await product()];
  const id = await ada.place([[tea, 1]]);
  const brief = { headers: { authorization: `Bearer ${token(ada.id, 'CUSTOMER', 2)}` } };
  const stream = follow(t, client(t, brief), { query: FOLLOW, variables: { id } });
  assert.equal((await stream.next()).data.orderChanged.kind, 'SNAPSHOT');
  await stream.ended(6_000);
});
