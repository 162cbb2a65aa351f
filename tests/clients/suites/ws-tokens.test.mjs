// A socket lives as long as its token, or as the next one, or as its server.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { OwnServer, issuedToken, token } from '../lib/server.mjs';
import { customer, product, staff } from '../lib/shop.mjs';
import { Socket } from '../lib/socket.mjs';

const FOLLOW = 'subscription($id: ID!) { orderChanged(id: $id) { kind order { status } } }';

// All wait for the same seconds to pass, so side by side.
describe('a socket and its token', { concurrency: true }, () => {
  test('4403 when the token ends, not earlier and not much later, in the middle of a subscription', async (t) => {
    const begun = Date.now();
    const socket = await Socket.signedIn(t, await issuedToken('staff', 'STAFF', '3s'));
    socket.subscribe('1', 'subscription { ordersChanged { kind } }');
    assert.equal(await socket.closed(), 4403);
    const took = (await socket.closing).at - begun;
    assert.ok(took > 1_500 && took < 5_000, `${took} ms`);
  });

  test('a fresh token by ping keeps it, with its subscriptions, past the end of the old one', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const order = await ada.place([[tea, 1]]);
    const brief = await issuedToken(ada.id, 'CUSTOMER', '3s');
    const [renewed, forgotten] = [await Socket.signedIn(t, brief), await Socket.signedIn(t, brief)];
    renewed.subscribe('1', FOLLOW, { id: order });
    assert.equal((await renewed.result('1')).orderChanged.kind, 'SNAPSHOT');
    renewed.renew(await issuedToken(ada.id, 'CUSTOMER', '1h'));
    assert.deepEqual(await renewed.next(), { type: 'pong' });
    // The old token has ended when the socket that kept it is closed.
    assert.equal(await forgotten.closed(), 4403);
    await ada.pay(order);
    assert.deepEqual(await renewed.result('1'), { orderChanged: { kind: 'CHANGE', order: { status: 'PAID' } } });
    assert.deepEqual(await renewed.ask('2', '{ me { id } }'), { me: { id: ada.id } });
  });

  test('it can be renewed again and again, also to one that ends earlier', async (t) => {
    const socket = await Socket.signedIn(t, token('staff', 'STAFF'));
    for (const seconds of [60, 120, 3]) {
      socket.renew(token('staff', 'STAFF', seconds));
      assert.deepEqual(await socket.next(), { type: 'pong' });
    }
    assert.equal(await socket.closed(), 4403);
  });

  test('without a token it stays, as nobody', async (t) => {
    const socket = await Socket.signedIn(t, undefined);
    const brief = await Socket.signedIn(t, token('staff', 'STAFF', 3));
    assert.equal(await brief.closed(), 4403);
    assert.deepEqual(await socket.ask('1', '{ __typename }'), { __typename: 'Query' });
  });

  for (const [what, other] of Object.entries({
    "somebody else's": () => token('other', 'STAFF'),
    'the same with another role': () => token('staff', 'ADMIN'),
    'one that expired a minute ago': () => token('staff', 'STAFF', -60),
    nonsense: () => 'nonsense',
  })) {
    test(`4403: the fresh token is ${what}`, async (t) => {
      const socket = await Socket.signedIn(t, token('staff', 'STAFF'));
      socket.renew(other());
      assert.equal(await socket.closed(), 4403);
    });
  }

  test('4403: a token for a socket that began without one', async (t) => {
    const socket = await Socket.signedIn(t, undefined);
    socket.renew(token('staff', 'STAFF'));
    assert.equal(await socket.closed(), 4403);
  });
});

describe('a server that goes away', { concurrency: true }, () => {
  test('says so to every socket with 1012, whatever runs on it, and ends well', async (t) => {
    const server = await OwnServer.start(t);
    const [ada, tea] = [await customer(), await product()];
    const order = await ada.place([[tea, 1]]);
    const follows = await Socket.signedIn(t, ada.bearer, { server: server.url });
    follows.subscribe('1', FOLLOW, { id: order });
    assert.equal((await follows.result('1')).orderChanged.kind, 'SNAPSHOT');
    const idle = await Socket.signedIn(t, ada.bearer, { server: server.url });
    const silent = await Socket.open(t, { server: server.url });
    const ended = server.stop();
    for (const socket of [follows, idle, silent]) assert.equal(await socket.closed(), 1012);
    assert.deepEqual(await ended, { code: 0, signal: null });
  });

  test('tells what it has done before it goes: a command that was taken in is answered', async (t) => {
    const server = await OwnServer.start(t);
    const [ada, tea] = [await customer(), await product()];
    const elsewhere = staff(server.url);
    const place = 'mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { receipt { aggregateId } errors { code } } }';
    const input = { customerId: ada.id, lines: [{ productId: tea, quantity: 1 }] };
    const answers = Promise.all(Array.from({ length: 20 }, () => elsewhere.answer(place, { input }).catch((error) => error)));
    await elsewhere.answer('{ __typename }');
    const ended = await server.stop();
    assert.deepEqual(ended, { code: 0, signal: null });
    for (const answer of await answers) {
      // Whoever came too late was not let in at all.
      if (answer instanceof Error) assert.match(`${answer.cause?.code}`, /ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET/);
      else assert.deepEqual(answer.data.placeOrder.errors, []);
    }
  });
});
