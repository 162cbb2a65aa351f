// Server-sent events by a browser's own EventSource, which reconnects by itself and sends back the last id that it has seen.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Browser } from '../lib/browser.mjs';
import { Line } from '../lib/line.mjs';
import { URL_OF_SERVER } from '../lib/server.mjs';
import { customer, product } from '../lib/shop.mjs';

let browser;
before(async () => {
  browser = await Browser.start();
});
after(() => browser?.stop());

/** A page of the server's that follows an operation, and keeps what it has heard in `heard`. */
async function listening(t, url, query, variables = {}, caller = undefined) {
  const page = await browser.open(`${url}/livez`);
  t.after(() => page.close().catch(() => {}));
  // An EventSource sends no headers of its own; a proxy would put in the token.
  if (caller) await page.send('Network.setExtraHTTPHeaders', { headers: { Authorization: `Bearer ${caller.bearer}` } });
  await page.until('the page', () => location.pathname === '/livez' && document.readyState === 'complete');
  await page.run((parameters) => {
    window.heard = [];
    const source = new EventSource(`/graphql?${new URLSearchParams(parameters)}`);
    source.addEventListener('next', ({ data, lastEventId }) => window.heard.push({ id: lastEventId, ...JSON.parse(data) }));
    source.addEventListener('complete', () => {
      window.heard.push('complete');
      source.close();
    });
  }, { query, variables: JSON.stringify(variables) });
  return {
    page,
    heard: async (many) => {
      await page.until(`${many} events`, (wanted) => window.heard.length >= wanted, many);
      return page.run(() => window.heard);
    },
  };
}

describe('EventSource', () => {
  test('hears the end of an operation', async (t) => {
    const { heard } = await listening(t, URL_OF_SERVER, '{ __typename }');
    const [next, complete] = await heard(2);
    assert.deepEqual(next.data, { __typename: 'Query' });
    assert.equal(complete, 'complete');
  });

  test('goes on after a cut, with nothing lost or repeated, on the same request', async (t) => {
    const [ada, tea, line] = [await customer(), await product(), await Line.open(t)];
    const id = await ada.place([[tea, 1]]);
    const query = 'subscription($id: ID!) { orderChanged(id: $id) { kind order { version } } }';
    const { page, heard } = await listening(t, line.url, query, { id }, ada);
    await heard(1);
    line.cut();
    await ada.pay(id);
    await ada.command('updateOrder', { orderId: id, note: 'by the back door' });
    line.mend();
    await heard(3);
    await ada.command('updateOrder', { orderId: id, note: 'or by the window' });
    const told = (await heard(4)).map(({ data }) => [data.orderChanged.kind, data.orderChanged.order.version]);
    assert.deepEqual(told, [['SNAPSHOT', 1], ['CHANGE', 2], ['CHANGE', 3], ['CHANGE', 4]]);
    const ids = (await heard(4)).map((event) => event.id);
    assert.equal(new Set(ids).size, 4, `${ids}`);
    assert.ok(page.requests.filter((request) => request.includes('/graphql?')).length >= 2, 'it has come back');
  });
});
