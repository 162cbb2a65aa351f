// GraphiQL in a browser that can reach this machine and nothing else.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Browser } from '../lib/browser.mjs';
import { Explorer } from '../lib/explorer.mjs';
import { OwnServer, URL_OF_SERVER, graphqlUrl, token } from '../lib/server.mjs';
import { admin, customer, product, staff } from '../lib/shop.mjs';
import { Socket } from '../lib/socket.mjs';
import { claimsOf } from '../lib/tokens.mjs';

let browser;
before(async () => {
  browser = await Browser.start();
});
after(() => browser?.stop());

const follow = (id) => `subscription { orderChanged(id: "${id}") { kind order { status version } } }`;

/** Runs in the page before its own scripts: its development tokens live for another while than the server has given them. */
async function withTokensFor(seconds) {
  const given = await (await fetch(`${URL_OF_SERVER}/graphiql/settings.json`)).json();
  const tokens = given.tokens.map(({ label, token: its }) => ({ label, token: token(claimsOf(its).sub, claimsOf(its).role, seconds) }));
  const settings = { ...given, tokens, headers: { Authorization: `Bearer ${tokens[0].token}` } };
  return `document.addEventListener('readystatechange', () => {
    const element = document.getElementById('settings');
    if (element) element.textContent = ${JSON.stringify(JSON.stringify(settings))};
  }, { once: true });`;
}

/** When it is over, so is every socket that still has this token. */
async function endOf(t, bearer) {
  const other = await Socket.signedIn(t, bearer);
  return async () => assert.equal(await other.closed(20_000), 4403);
}

function assertQuiet({ page }) {
  assert.deepEqual({ foreign: page.foreign, problems: page.problems }, { foreign: [], problems: [] });
}

describe('the explorer', () => {
  test('loads from the server alone, says nothing in the console, and opens with examples', async (t) => {
    const explorer = await Explorer.open(t, browser, URL_OF_SERVER);
    const { tabs } = await explorer.tabs();
    assert.ok(tabs.length >= 5 && tabs.every(({ query }) => query), `${tabs.length} tabs`);
    assert.ok(explorer.page.requests.length > 10, 'the interception sees what the page loads');
    for (const request of explorer.page.requests) assert.match(request, new RegExp(`^\\w+ (data:|${URL_OF_SERVER}/)`));
    assertQuiet(explorer);
  });

  test('runs a query as whoever stands in the headers', async (t) => {
    const ada = await customer('Ada of the headers');
    const explorer = await Explorer.open(t, browser, URL_OF_SERVER);
    await explorer.write('{ me { id displayName } }', ada.bearer);
    await explorer.execute();
    await explorer.shows(`"id": "${ada.id}"`);
    await explorer.shows('"displayName": "Ada of the headers"');
    assertQuiet(explorer);
  });

  test('shows the docs, from the root types down to a field', async (t) => {
    const { page, ...explorer } = await Explorer.open(t, browser, URL_OF_SERVER);
    await page.click('button[aria-label="Show Documentation Explorer"]');
    const shows = (text) => page.until(`docs of ${text}`, (wanted) => {
      return document.querySelector('.graphiql-doc-explorer')?.innerText.includes(wanted);
    }, text);
    const into = async (name) => {
      await page.until(`a link to ${name}`, (wanted) => {
        const links = [...document.querySelectorAll('.graphiql-doc-explorer a')];
        const link = links.find(({ textContent }) => textContent === wanted);
        link?.click();
        return link !== undefined;
      }, name);
    };
    for (const root of ['Query', 'Mutation', 'Subscription']) await shows(root);
    await into('Subscription');
    await shows('orderChanged');
    await into('OrderChange');
    await shows('Nothing is ever dropped silently');
    assertQuiet({ page, ...explorer });
  });

  test('follows an order, and shows what another client does to it', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const order = await ada.place([[tea, 1]]);
    const explorer = await Explorer.open(t, browser, URL_OF_SERVER);
    await explorer.write(follow(order), ada.bearer);
    await explorer.execute();
    await explorer.shows('"kind": "SNAPSHOT"');
    await explorer.shows('"status": "PENDING"');
    await ada.pay(order);
    await explorer.shows('"status": "PAID"');
    await ada.command('updateOrder', { orderId: order, note: 'by the back door' });
    await explorer.shows('"version": 3');
    assertQuiet(explorer);
  });

  test('keeps tabs and token: over a reload, and for the next visit', async (t) => {
    const ada = await customer('Ada who comes back');
    const explorer = await Explorer.open(t, browser, URL_OF_SERVER);
    await explorer.write('query MineAlone { me { displayName } }', ada.bearer);
    const written = await explorer.tabs();
    const isKept = async (visit) => {
      await visit.ready();
      const { tabs, activeTabIndex } = await visit.tabs();
      assert.equal(tabs.length, written.tabs.length);
      assert.equal(tabs[activeTabIndex].title, 'MineAlone');
      await visit.execute();
      await visit.shows('"displayName": "Ada who comes back"');
      assertQuiet(visit);
    };
    await explorer.page.run(() => (window.isOld = true));
    await explorer.page.send('Page.reload');
    await explorer.page.until('a new page', () => window.isOld === undefined);
    await isKept(explorer);
    await explorer.page.close();
    await isKept(await Explorer.open(t, browser, URL_OF_SERVER));
  });
});

describe('the token of a subscription that runs', () => {
  test('is renewed by what is put into the headers, and the subscription goes on past the end of the old one', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const order = await ada.place([[tea, 1]]);
    const explorer = await Explorer.open(t, browser, URL_OF_SERVER);
    const brief = token(ada.id, 'CUSTOMER', 15);
    await explorer.write(follow(order), brief);
    await explorer.execute();
    await explorer.shows('"kind": "SNAPSHOT"');
    const old = await endOf(t, brief);
    const fresh = token(ada.id, 'CUSTOMER', 3_600);
    await explorer.signIn(fresh);
    await explorer.renews('a fresh token on the socket', (sent) => sent === `Bearer ${fresh}`);
    await old();
    await ada.pay(order);
    await explorer.shows('"status": "PAID"');
    const subscribed = explorer.page.sent.filter(({ type }) => type === 'subscribe');
    assert.equal(subscribed.length, 1, 'it is the same subscription all the time');
    assertQuiet(explorer);
  });

  test('is left alone when somebody else signs in, or with a token that the server does not take', async (t) => {
    const [ada, alan, tea] = [await customer(), await customer(), await product()];
    const order = await ada.place([[tea, 1]]);
    const explorer = await Explorer.open(t, browser, URL_OF_SERVER);
    await explorer.write(follow(order), ada.bearer);
    await explorer.execute();
    await explorer.shows('"kind": "SNAPSHOT"');
    // A new signature would be good; this one is cut short.
    const spoilt = token(ada.id, 'CUSTOMER', 7_200).slice(0, -6);
    const refused = () => explorer.page.problems.filter((problem) => problem.includes('401')).length;
    await explorer.signIn(spoilt);
    await explorer.page.until('the refusal', (was) => was, true);
    await explorer.signIn(alan.bearer);
    await ada.pay(order);
    await explorer.shows('"status": "PAID"');
    assert.deepEqual(explorer.renewals, []);
    assert.ok(refused() <= 1 && explorer.page.problems.length === refused(), `${explorer.page.problems}`);
  });

  test('is renewed by the page itself when it is one of those for development', async (t) => {
    const [ada, tea] = [await customer(), await product()];
    const order = await ada.place([[tea, 1]]);
    await clear(t);
    const explorer = await Explorer.open(t, browser, URL_OF_SERVER, await withTokensFor(16));
    await explorer.write(follow(order));
    const { tabs, activeTabIndex } = await explorer.tabs();
    const [brief] = /eyJ[\w.-]+/.exec(tabs[activeTabIndex].headers);
    await explorer.execute();
    await explorer.shows('"kind": "SNAPSHOT"');
    const old = await endOf(t, brief);
    await explorer.renews('a fresh token on the socket', (sent) => claimsOf(sent).exp > claimsOf(brief).exp + 3_600);
    await old();
    await ada.pay(order);
    await explorer.shows('"status": "PAID"');
    await explorer.kept('a fresh token in the headers', ({ headers }) => !headers.includes(brief));
    assertQuiet(explorer);
  });

  test('of yesterday locks nobody out today', async (t) => {
    await clear(t);
    const yesterday = await Explorer.open(t, browser, URL_OF_SERVER, await withTokensFor(-3_600));
    await yesterday.write('query Yesterday { products(first: 1) { totalCount } }');
    await yesterday.execute();
    await yesterday.shows('UNAUTHENTICATED');
    await yesterday.page.close();
    const today = await Explorer.open(t, browser, URL_OF_SERVER);
    const { tabs } = await today.tabs();
    for (const { headers } of tabs.filter(({ headers }) => headers?.includes('eyJ'))) {
      assert.ok(claimsOf(headers).exp > Date.now() / 1_000, headers);
    }
    await today.execute();
    await today.shows('"totalCount"');
    assertQuiet(today);
  });
});

/** Forgets what earlier visits have left, as a new profile would. */
async function clear(t) {
  const page = await browser.open(`${URL_OF_SERVER}/livez`);
  t.after(() => page.close().catch(() => {}));
  await page.until('an empty store', () => {
    localStorage.clear();
    return location.pathname === '/livez';
  });
}

describe('a production server', () => {
  const introspect = (server) => admin(server).answer('{ __schema { types { name } } }');

  test('has no explorer, and does not tell its schema', async (t) => {
    const server = await OwnServer.start(t, { dev: false });
    for (const path of ['/graphiql', '/graphiql/settings.json', '/graphiql/favicon.svg', '/schema.graphql']) {
      assert.equal((await fetch(`${server.url}${path}`)).status, 404, path);
    }
    const { data, errors } = await introspect(server.url);
    assert.equal(data?.__schema, undefined);
    assert.ok(errors[0].extensions.code, JSON.stringify(errors));
    assert.deepEqual(await staff(server.url).ask('{ __typename }'), { __typename: 'Query' });
  });

  test('has them when asked for, and hands out no tokens even then', async (t) => {
    const env = { ORDERFLOW_GRAPHIQL: 'on', ORDERFLOW_INTROSPECTION: 'on' };
    const server = await OwnServer.start(t, { dev: false, env });
    const settings = await (await fetch(`${server.url}/graphiql/settings.json`)).json();
    assert.deepEqual(settings, { endpoint: '/graphql', headers: {}, tokens: [] });
    assert.doesNotMatch(await (await fetch(`${server.url}/graphiql`)).text(), /eyJ/);
    const explorer = await Explorer.open(t, browser, server.url);
    await explorer.write('{ products(first: 1) { totalCount } }', staff().bearer);
    await explorer.execute();
    await explorer.shows('"totalCount"');
    assertQuiet(explorer);
    assert.equal((await introspect(server.url)).errors, undefined, graphqlUrl(server.url));
  });
});
