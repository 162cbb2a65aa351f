// Connections that nobody means well: many that say nothing, some that say it slowly, some that say too much.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';

import { staff } from '../lib/shop.mjs';
import { Socket } from '../lib/socket.mjs';
import { Target } from '../lib/target.mjs';
import { within } from '../lib/wait.mjs';

const target = new Target();
before(() => target.start());
after(() => target.stop());

/** How long a connection may be held open by somebody who never finishes a request. */
const PATIENCE_WITH_SLOWNESS = 15_000;

/** A connection on which something is said, and then more, a byte at a time, for ever. */
function drip(t, first, more) {
  const { hostname, port } = new URL(target.url);
  const line = connect(Number(port), hostname, () => line.write(first));
  const timer = more && setInterval(() => line.write(more), 250);
  line.on('error', () => {});
  line.resume();
  t.after(() => {
    clearInterval(timer);
    line.destroy();
  });
  return new Promise((resolve) => line.once('close', resolve));
}

const HEAD = 'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';

describe('a request that never ends does not keep its connection for ever', { concurrency: true }, () => {
  for (const [what, first, more] of [
    ['nothing at all', ''],
    ['half a head', HEAD],
    ['a head that grows by a byte at a time', `${HEAD}X-More: `, 'x'],
    ['half a body', `${HEAD}Content-Length: 1000\r\n\r\n{`],
    ['a body that grows by a byte at a time', `${HEAD}Content-Length: 100000\r\n\r\n{`, ' '],
    ['a body in chunks that never end', `${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`, '1\r\n \r\n'],
  ]) {
    test(what, async (t) => {
      await within(drip(t, first, more), 'a close', PATIENCE_WITH_SLOWNESS);
    });
  }

  test('and meanwhile everybody else is answered', async (t) => {
    await target.survives(async () => {
      for (let n = 0; n < 200; n += 1) drip(t, `${HEAD}Content-Length: 1000\r\n\r\n{`);
      assert.equal((await staff(target.url).answer('{ __typename }')).status, 200);
    });
  });
});

test('2,000 sockets on which nobody signs in are all closed with 4408, and nobody else notices', { timeout: 60_000 }, async (t) => {
  const begun = Date.now();
  const sockets = [];
  for (let batch = 0; batch < 20; batch += 1) {
    const some = Array.from({ length: 100 }, () => new Socket({ server: target.url }));
    await within(Promise.all(some.map(({ opened }) => opened)), 'a hundred sockets');
    sockets.push(...some.map((socket) => ({ socket, opened: Date.now() })));
    t.after(() => some.forEach(({ web }) => web.terminate()));
    await target.survives(async () => {});
  }
  const codes = {};
  for (const { socket, opened } of sockets) {
    const { code, at } = await within(socket.closing, 'the end of a socket', 10_000);
    codes[code] = (codes[code] ?? 0) + 1;
    assert.ok(at - opened < 6_000, `${at - opened} ms`);
  }
  assert.deepEqual(codes, { 4408: 2_000 });
  await target.survives(async () => {
    const socket = await Socket.signedIn(t, staff().bearer, { server: target.url });
    assert.deepEqual(await socket.ask('1', '{ __typename }'), { __typename: 'Query' });
  });
  t.diagnostic(`opened and closed in ${Date.now() - begun} ms`);
});

describe('a message that is too large', () => {
  const closed = async (socket) => {
    await target.survives(async () => {
      // The close may be lost when the connection is cut under what is still being sent.
      assert.ok([1009, 1006].includes(await socket.closed(2_000)));
    });
  };

  test('in one frame', async (t) => {
    const socket = await Socket.open(t, { server: target.url });
    socket.web.send('x'.repeat(2 * 1024 * 1024));
    await closed(socket);
  });

  test('in one frame, from somebody who is signed in', async (t) => {
    const socket = await Socket.signedIn(t, staff().bearer, { server: target.url });
    socket.subscribe('1', `{ __typename }${' '.repeat(2 * 1024 * 1024)}`);
    await closed(socket);
  });

  test('in frames that never end', async (t) => {
    const socket = await Socket.open(t, { server: target.url });
    for (let n = 0; n < 30; n += 1) socket.web.send('x'.repeat(100_000), { fin: false });
    await closed(socket);
  });

  test('just not: it is read', async (t) => {
    const socket = await Socket.signedIn(t, staff().bearer, { server: target.url });
    assert.deepEqual(await socket.ask('1', `{ __typename }${' '.repeat(900_000)}`), { __typename: 'Query' });
  });
});

test('somebody who does not read holds up nobody else', async (t) => {
  const socket = await Socket.signedIn(t, staff().bearer, { server: target.url });
  await target.survives(async () => {
    socket.web.pause();
    const query = '{ __schema { types { name description fields { name description args { name description } } } } }';
    for (let n = 0; n < 20; n += 1) socket.subscribe(`${n}`, query);
    const other = await Socket.signedIn(t, staff().bearer, { server: target.url });
    assert.deepEqual(await other.ask('1', '{ __typename }'), { __typename: 'Query' });
  });
});
