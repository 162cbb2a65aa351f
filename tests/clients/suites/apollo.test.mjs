// Apollo Client, as a frontend sets it up: HTTP for questions and commands, WebSocket for what is followed, one cache.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';

import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { graphqlUrl, socketUrl } from '../lib/server.mjs';
import { customer, product } from '../lib/shop.mjs';
import { Queue, until } from '../lib/wait.mjs';
import { EXISTING, assertWhole, customerWithOrders, whileOrdersAreBeingPlaced } from '../lib/walk.mjs';

function apollo(t, caller, { before, http } = {}) {
  const socket = createClient({ url: socketUrl(), webSocketImpl: WebSocket, connectionParams: caller.headers });
  const byHttp = new HttpLink({ uri: graphqlUrl(), headers: caller.headers, ...http });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    before ? before.concat(byHttp) : byHttp,
  );
  const cache = new InMemoryCache({
    possibleTypes: { Node: ['Order', 'Product', 'User'] },
    typePolicies: { Query: { fields: { orders: relayStylePagination(['filter', 'sort']) } } },
  });
  const client = new ApolloClient({ link, cache });
  t.after(async () => {
    client.stop();
    await socket.dispose();
  });
  return client;
}

/** The results of an observable, one after the other. */
function watch(t, observable) {
  const results = new Queue();
  const subscription = observable.subscribe({ next: (result) => results.push(result), error: (error) => results.end(error) });
  t.after(() => subscription.unsubscribe());
  return results;
}

const ORDER = gql`
  fragment OrderParts on Order { id version status note total { amount currencyCode } customer { id displayName } }
`;
const PLACE = gql`
  mutation Place($input: PlaceOrderInput!) { placeOrder(input: $input) { errors { code } order { ...OrderParts } } }
  ${ORDER}
`;
const PAY = gql`
  mutation Pay($input: PayOrderInput!) { payOrder(input: $input) { errors { code } order { ...OrderParts } } }
  ${ORDER}
`;
const ONE = gql`query One($id: ID!) { order(id: $id) { ...OrderParts } } ${ORDER}`;
const FOLLOW = gql`
  subscription Follow($id: ID!) { orderChanged(id: $id) { kind cursor order { ...OrderParts } event { type } } }
  ${ORDER}
`;
const PAGE = gql`
  query Page($first: Int, $after: String, $last: Int, $before: String, $sort: OrderSort) {
    orders(first: $first, after: $after, last: $last, before: $before, sort: $sort) {
      edges { cursor node { id number } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`;

describe('Apollo Client', () => {
  test('asks, places and follows, and one cache holds all of it by id', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const client = apollo(t, ada);
    const placed = await client.mutate({ mutation: PLACE, variables: { input: { lines: [{ productId: tea, quantity: 2 }] } } });
    const { order, errors } = placed.data.placeOrder;
    assert.deepEqual([errors, order.status, order.total.amount], [[], 'PENDING', '13.00']);

    const watched = watch(t, client.watchQuery({ query: ONE, variables: { id: order.id }, fetchPolicy: 'cache-first' }));
    const status = async (wanted) =>
      until(async () => (await watched.take(`status ${wanted}`)).data?.order?.status === wanted, `status ${wanted}`);
    await status('PENDING');
    const followed = watch(t, client.subscribe({ query: FOLLOW, variables: { id: order.id } }));
    assert.equal((await followed.take()).data.orderChanged.kind, 'SNAPSHOT');

    // By a mutation of this client's: its payload is enough.
    await client.mutate({ mutation: PAY, variables: { input: { orderId: order.id, reference: 'card-4242' } } });
    await status('PAID');
    assert.equal((await followed.take()).data.orderChanged.event.type, 'ORDER_PAID');

    // By somebody else: the subscription is enough.
    await ada.command('cancelOrder', { orderId: order.id });
    await status('CANCELLED');
    const key = client.cache.identify({ __typename: 'Order', id: order.id });
    assert.equal(client.cache.extract()[key].version, 3);
  });

  test('finds by node what it knows by order: an id means one thing', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const id = await ada.place([[tea, 1]]);
    const client = apollo(t, ada);
    const node = gql`query AnyNode($id: ID!) { node(id: $id) { id ... on Order { version status } ... on Product { sku } } }`;
    const ids = { Order: id, Product: tea, User: ada.id };
    await ada.see(await ada.pay(id));
    for (const [typename, of] of Object.entries(ids)) {
      const { data } = await client.query({ query: node, variables: { id: of } });
      assert.deepEqual([data.node.__typename, data.node.id], [typename, of]);
    }
    assert.equal(client.cache.extract()[`Order:${id}`].status, 'PAID');
  });

  test('tells refusals, which are data, from errors, which have a code', async (t) => {
    const [ada, tea] = [await customer(), await product(1)];
    const client = apollo(t, ada);
    const refused = await client.mutate({ mutation: PLACE, variables: { input: { lines: [{ productId: tea, quantity: 2 }] } } });
    assert.equal(refused.data.placeOrder.errors[0].code, 'INSUFFICIENT_STOCK');
    assert.equal(refused.data.placeOrder.order, null);
    const tooMany = await client.query({ query: PAGE, variables: { first: 101 } }).catch((error) => error);
    assert.ok(CombinedGraphQLErrors.is(tooMany), `${tooMany}`);
    assert.equal(tooMany.errors[0].extensions.code, 'BAD_USER_INPUT');
    const invalid = await client.query({ query: gql`{ nothing }` }).catch((error) => error);
    assert.ok(CombinedGraphQLErrors.is(invalid), `${invalid}`);
    const followed = watch(t, client.subscribe({ query: FOLLOW, variables: { id: 'order_01900000000070008000000000000201' } }));
    assert.equal((await followed.take()).error.errors[0].extensions.code, 'NOT_FOUND');
  });

  test('sends hashes instead of documents, and questions by GET', async (t) => {
    const ada = await customer();
    const sent = [];
    const seen = async (url, options) => {
      sent.push([options.method, /[?&]query=|"query":/.test(`${url}${options.body ?? ''}`)]);
      return fetch(url, options);
    };
    const sha256 = async (text) => createHash('sha256').update(text).digest('hex');
    const before = new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
    const client = apollo(t, ada, { before, http: { fetch: seen } });
    // Nobody has sent this one before.
    const query = gql`query Hashed${ada.id} { me { id } }`;
    for (let turn = 0; turn < 2; turn += 1) {
      const { data } = await client.query({ query, fetchPolicy: 'no-cache' });
      assert.equal(data.me.id, ada.id);
    }
    assert.deepEqual(sent.map(([, whole]) => whole), [false, true, false]);
    assert.equal(sent[2][0], 'GET');
  });
});

describe('pages by relayStylePagination, while orders are being placed', () => {
  for (const [what, sort] of Object.entries({
    'newest first': undefined,
    'oldest first': { field: 'PLACED_AT', direction: 'ASC' },
    'by number': { field: 'NUMBER', direction: 'ASC' },
    'by total': { field: 'TOTAL', direction: 'DESC' },
  })) {
    test(`${what}: forward and backward meet each order once`, async (t) => {
      const shop = await customerWithOrders();
      assert.equal(shop.ids.length, EXISTING);
      for (const [size, more, cursor] of [
        [{ first: 7 }, 'hasNextPage', ({ endCursor }) => ({ after: endCursor })],
        [{ last: 7 }, 'hasPreviousPage', ({ startCursor }) => ({ before: startCursor })],
      ]) {
        const client = apollo(t, shop.ada);
        const pages = client.watchQuery({ query: PAGE, variables: { ...size, sort } });
        const kept = watch(t, pages);
        const all = await whileOrdersAreBeingPlaced(shop, async () => {
          let page = await until(async () => (await kept.take()).data?.orders, 'the first page');
          for (let number = 1; page.pageInfo[more]; number += 1) {
            assert.ok(number < 60, 'an end');
            const { data } = await pages.fetchMore({ variables: { ...size, sort, ...cursor(page.pageInfo) } });
            page = data.orders;
          }
          return client.readQuery({ query: PAGE, variables: { ...size, sort } }).orders.edges;
        });
        assertWhole(all.map(({ node }) => node.id), shop.ids);
      }
    });
  }
});
