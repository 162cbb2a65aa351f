// urql, with its normalised cache and with its plain one.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Client, cacheExchange as plainCache, fetchExchange, gql, subscriptionExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { buildSchema, introspectionFromSchema } from 'graphql';
import { createClient } from 'graphql-ws';
import { readFile } from 'node:fs/promises';
import WebSocket from 'ws';

import { graphqlUrl, socketUrl } from '../lib/server.mjs';
import { customer, product } from '../lib/shop.mjs';
import { Queue, until } from '../lib/wait.mjs';
import { assertWhole, customerWithOrders, whileOrdersAreBeingPlaced } from '../lib/walk.mjs';

const sdl = await readFile(new URL('../../../schema.graphql', import.meta.url), 'utf8');
const schema = introspectionFromSchema(buildSchema(sdl));
// The schema makes it check every document, and say what it cannot keep; the rest is what has no id by design.
const keyless = ['Address', 'AllowedAction', 'CommandError', 'Money', 'OrderChange', 'OrderConnection', 'OrderEdge', 'OrderPayload',
  'PageInfo'];
const keys = Object.fromEntries(keyless.map((type) => [type, () => null]));
const normalised = () => cacheExchange({ schema, keys, resolvers: { Query: { orders: relayPagination() } } });

function urql(t, caller, { cache = normalised(), ...options } = {}) {
  const socket = createClient({ url: socketUrl(), webSocketImpl: WebSocket, connectionParams: caller.headers });
  t.after(() => socket.dispose());
  const forwardSubscription = ({ query, variables }) => ({
    subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
  });
  return new Client({
    url: graphqlUrl(),
    fetchOptions: { headers: caller.headers },
    preferGetMethod: false,
    exchanges: [cache, fetchExchange, subscriptionExchange({ forwardSubscription })],
    ...options,
  });
}

/** The results of a source, one after the other. */
function watch(t, source) {
  const results = new Queue();
  const { unsubscribe } = source.subscribe((result) => results.push(result));
  t.after(unsubscribe);
  return results;
}

async function data(source) {
  const { data: found, error } = await source.toPromise();
  assert.equal(error, undefined);
  return found;
}

const PARTS = gql`fragment OrderParts on Order { id version status total { amount currencyCode } customer { id displayName } }`;
const PLACE = gql`
  mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { errors { code } order { ...OrderParts } } }
  ${PARTS}
`;
const PAY = gql`
  mutation ($input: PayOrderInput!) { payOrder(input: $input) { errors { code } order { ...OrderParts } } }
  ${PARTS}
`;
const ONE = gql`query ($id: ID!) { order(id: $id) { ...OrderParts } } ${PARTS}`;
const FOLLOW = gql`subscription ($id: ID!) { orderChanged(id: $id) { kind cursor order { ...OrderParts } } } ${PARTS}`;
const PAGE = gql`
  query ($first: Int, $after: String, $last: Int, $before: String) {
    orders(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { id } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`;

describe('urql', () => {
  test('asks, places and follows, and its normalised cache holds all of it by id', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const client = urql(t, ada);
    const { placeOrder } = await data(client.mutation(PLACE, { input: { lines: [{ productId: tea, quantity: 2 }] } }));
    assert.deepEqual([placeOrder.errors, placeOrder.order.status], [[], 'PENDING']);
    const { id } = placeOrder.order;
    const watched = watch(t, client.query(ONE, { id }));
    const status = async (wanted) =>
      until(async () => (await watched.take(`status ${wanted}`)).data?.order?.status === wanted, `status ${wanted}`);
    await status('PENDING');
    const followed = watch(t, client.subscription(FOLLOW, { id }));
    assert.equal((await followed.take()).data.orderChanged.kind, 'SNAPSHOT');
    assert.deepEqual((await data(client.mutation(PAY, { input: { orderId: id, reference: 'card-4242' } }))).payOrder.errors, []);
    await status('PAID');
    await ada.command('cancelOrder', { orderId: id });
    await status('CANCELLED');
  });

  test('asks anew after a command, with its plain cache', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const client = urql(t, ada, { cache: plainCache });
    const list = gql`query { orders { totalCount nodes { id status } } }`;
    const watched = watch(t, client.query(list, {}));
    assert.equal((await watched.take()).data.orders.totalCount, 0);
    // It knows by __typename what a command has touched, so there must have been an Order in the list for the second.
    const { placeOrder } = await data(client.mutation(PLACE, { input: { lines: [{ productId: tea, quantity: 1 }] } }));
    const fresh = watch(t, client.query(list, {}, { requestPolicy: 'network-only' }));
    await until(async () => (await fresh.take()).data?.orders.totalCount === 1, 'the order in the list');
    await data(client.mutation(PAY, { input: { orderId: placeOrder.order.id, reference: 'card-4242' } }));
    await until(async () => (await fresh.take()).data?.orders.nodes[0]?.status === 'PAID', 'the payment in the list');
  });

  test('asks by GET if it prefers to', async (t) => {
    const ada = await customer();
    const methods = [];
    const seen = async (url, options) => {
      methods.push(options.method);
      return fetch(url, options);
    };
    const client = urql(t, ada, { preferGetMethod: true, fetch: seen });
    assert.equal((await data(client.query(gql`{ me { id } }`, {}))).me.id, ada.id);
    assert.deepEqual(methods, ['GET']);
  });

  test('tells refusals, which are data, from errors, which have a code', async (t) => {
    const [ada, tea] = [await customer(), await product(1)];
    const client = urql(t, ada, { cache: plainCache });
    const { placeOrder } = await data(client.mutation(PLACE, { input: { lines: [{ productId: tea, quantity: 2 }] } }));
    assert.equal(placeOrder.errors[0].code, 'INSUFFICIENT_STOCK');
    const { error } = await client.query(PAGE, { first: 101 }).toPromise();
    assert.equal(error.graphQLErrors[0].extensions.code, 'BAD_USER_INPUT');
    const invalid = await client.query(gql`{ nothing }`, {}).toPromise();
    assert.ok(invalid.error.graphQLErrors[0]?.message, `${invalid.error}`);
    const stranger = urql(t, { headers: { authorization: 'Bearer nonsense' } }, { cache: plainCache });
    const { error: unknown } = await stranger.query(gql`{ me { id } }`, {}).toPromise();
    assert.equal(unknown.response.status, 401);
    assert.equal(unknown.graphQLErrors[0]?.extensions.code, 'UNAUTHENTICATED');
  });

  test('over its stream of events, subscriptions need no socket', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 1]]);
    const client = new Client({
      url: graphqlUrl(),
      fetchOptions: { headers: ada.headers },
      fetchSubscriptions: true,
      preferGetMethod: false,
      exchanges: [plainCache, fetchExchange],
    });
    const followed = watch(t, client.subscription(FOLLOW, { id }));
    const { data: first, error } = await followed.take();
    assert.equal(error, undefined);
    assert.equal(first.orderChanged.kind, 'SNAPSHOT');
    await ada.pay(id);
    assert.equal((await followed.take()).data.orderChanged.order.status, 'PAID');
  });
});

test('pages by relayPagination meet each order once, forward and backward, while orders are being placed', async (t) => {
  const shop = await customerWithOrders();
  for (const [size, more, cursor] of [
    [{ first: 7 }, 'hasNextPage', ({ endCursor }) => ({ after: endCursor })],
    [{ last: 7 }, 'hasPreviousPage', ({ startCursor }) => ({ before: startCursor })],
  ]) {
    const client = urql(t, shop.ada);
    const all = await whileOrdersAreBeingPlaced(shop, async () => {
      let page = (await data(client.query(PAGE, size))).orders;
      for (let number = 1; page.pageInfo[more]; number += 1) {
        assert.ok(number < 60, 'an end');
        page = (await data(client.query(PAGE, { ...size, ...cursor(page.pageInfo) }))).orders;
      }
      // Every page that the cache knows, as one list.
      return page.edges;
    });
    assertWhole(all.map(({ node }) => node.id), shop.ids);
  }
});
