// graphql-transport-ws, spoken by hand: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { token } from '../lib/server.mjs';
import { customer } from '../lib/shop.mjs';
import { Socket } from '../lib/socket.mjs';

const bearer = token('staff', 'STAFF');

// The first ping of the server comes after a while, so this one is opened first and looked at last.
const patient = new Socket();
before(async () => {
  await patient.opened;
  patient.init(bearer);
  assert.deepEqual(await patient.next(), { type: 'connection_ack' });
});
after(() => patient.web.terminate());

// Some wait for the server's own clock, so all run side by side.
describe('a socket is closed with the code that says why', { concurrency: true }, () => {
  const wrong = {
    'no JSON': '{"type":',
    'no object': '[]',
    'no type': '{}',
    'a type of nobody': { type: 'hello' },
    'a message that only servers send': { type: 'next', id: '1', payload: {} },
    'a subscription without an id': { type: 'subscribe', payload: { query: '{ __typename }' } },
    'a subscription whose id is a number': { type: 'subscribe', id: 1, payload: { query: '{ __typename }' } },
    'a subscription without a payload': { type: 'subscribe', id: '1' },
    'a query that is a number': { type: 'subscribe', id: '1', payload: { query: 1 } },
    'variables that are a text': { type: 'subscribe', id: '1', payload: { query: '{ __typename }', variables: 'x' } },
    'a complete without an id': { type: 'complete' },
    'bytes instead of text': Buffer.from('{"type":"ping"}'),
  };
  for (const [what, message] of Object.entries(wrong)) {
    test(`4400: ${what}`, async (t) => {
      const socket = await Socket.signedIn(t, bearer);
      socket.send(message);
      assert.equal(await socket.closed(), 4400);
    });
  }

  test('4401: an operation before connection_init', async (t) => {
    const socket = await Socket.open(t);
    socket.subscribe('1', '{ __typename }');
    assert.equal(await socket.closed(), 4401);
  });

  test('4401: an operation before connection_init, though the upgrade had a good token', async (t) => {
    const socket = await Socket.open(t, { headers: { authorization: `Bearer ${bearer}` } });
    socket.subscribe('1', '{ __typename }');
    assert.equal(await socket.closed(), 4401);
  });

  for (const [what, payload] of Object.entries({
    nonsense: { Authorization: 'Bearer nonsense' },
    'another scheme': { Authorization: `Basic ${bearer}` },
    'one that expired a minute ago': { Authorization: `Bearer ${token('staff', 'STAFF', -60)}` },
  })) {
    test(`4403: a token that is ${what}`, async (t) => {
      const socket = await Socket.open(t);
      socket.send({ type: 'connection_init', payload });
      assert.equal(await socket.closed(), 4403);
    });
  }

  for (const protocols of [['graphql-ws'], []]) {
    test(`4406: the subprotocol ${protocols[0] ?? 'of nobody'}`, async (t) => {
      const socket = await Socket.open(t, { protocols });
      assert.equal(await socket.closed(), 4406);
    });
  }

  test('4408: no connection_init within three seconds', async (t) => {
    const before = Date.now();
    const socket = await Socket.open(t);
    assert.equal(await socket.closed(), 4408);
    const took = (await socket.closing).at - before;
    assert.ok(took > 2_500 && took < 5_000, `${took} ms`);
  });

  test('4408 is for those who say nothing: whoever has signed in stays', async (t) => {
    const silent = await Socket.open(t);
    const socket = await Socket.signedIn(t, bearer);
    assert.equal(await silent.closed(), 4408);
    assert.deepEqual(await socket.ask('1', '{ __typename }'), { __typename: 'Query' });
  });

  test('4409: the id of an operation that is still running', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    const query = 'subscription { ordersChanged { kind } }';
    socket.subscribe('1', query);
    socket.subscribe('1', query);
    assert.equal(await socket.closed(), 4409);
  });

  test('4429: a second connection_init', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    socket.init(bearer);
    assert.equal(await socket.closed(), 4429);
  });

  test('4429: a second connection_init, when the first has not been answered yet', async (t) => {
    const socket = await Socket.open(t);
    socket.init(bearer);
    socket.init(bearer);
    assert.equal(await socket.closed(), 4429);
  });
});

describe('pings', () => {
  test('are answered at any time, with what they carried', async (t) => {
    const socket = await Socket.open(t);
    socket.send({ type: 'ping' });
    assert.deepEqual(await socket.next(), { type: 'pong' });
    socket.init(bearer);
    assert.deepEqual(await socket.next(), { type: 'connection_ack' });
    const payload = { at: 1, deep: [{ text: 'ä\u2028"' }] };
    socket.send({ type: 'ping', payload });
    assert.deepEqual(await socket.next(), { type: 'pong', payload });
  });

  test('pongs that nobody asked for are welcome, whatever they carry', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    socket.send({ type: 'pong' });
    socket.send({ type: 'pong', payload: { at: 1 } });
    socket.send({ type: 'pong', payload: null });
    assert.deepEqual(await socket.ask('1', '{ __typename }'), { __typename: 'Query' });
  });

  test('those of the WebSocket itself are answered too', async (t) => {
    const socket = await Socket.open(t);
    const pong = new Promise((resolve) => socket.web.once('pong', (data) => resolve(data.toString())));
    socket.web.ping('x');
    assert.equal(await pong, 'x');
  });

  test('a token is not sent back', async (t) => {
    const socket = await Socket.signedIn(t, bearer);
    socket.renew(bearer);
    assert.deepEqual(await socket.next(), { type: 'pong' });
  });
});

describe('signing in', () => {
  for (const name of ['Authorization', 'authorization', 'AUTHORIZATION']) {
    test(`by ${name} in the payload`, async (t) => {
      const ada = await customer();
      const socket = await Socket.open(t);
      socket.send({ type: 'connection_init', payload: { [name]: `Bearer ${ada.bearer}` } });
      assert.deepEqual(await socket.next(), { type: 'connection_ack' });
      assert.deepEqual(await socket.ask('1', '{ me { id } }'), { me: { id: ada.id } });
    });
  }

  test('by the header of the upgrade', async (t) => {
    const ada = await customer();
    const socket = await Socket.signedIn(t, undefined, { headers: ada.headers });
    assert.deepEqual(await socket.ask('1', '{ me { id } }'), { me: { id: ada.id } });
  });

  test('not at all: a socket that shows nothing', async (t) => {
    const socket = await Socket.signedIn(t, undefined);
    socket.subscribe('1', '{ me { id } }');
    const message = await socket.next();
    const errors = message.type === 'error' ? message.payload : message.payload.errors;
    assert.equal(errors[0].extensions.code, 'UNAUTHENTICATED');
  });
});

test('the server pings, and whoever answers stays', async () => {
  await patient.pings.take('the first ping', 15_000);
  assert.deepEqual(await patient.ask('1', '{ __typename }'), { __typename: 'Query' });
});
