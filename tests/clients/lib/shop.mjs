// A shop for a test: people and products of its own, so that tests do not see each other's.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { graphqlUrl, token } from './server.mjs';

const NO_ERRORS = 'receipt { aggregateId version token replayed } errors { code message path }';

/** Somebody who is signed in, and asks by plain POST. */
export class Caller {
  constructor(bearer, server) {
    this.bearer = bearer;
    this.url = graphqlUrl(server);
  }

  get headers() {
    return this.bearer ? { authorization: `Bearer ${this.bearer}` } : {};
  }

  /** The answer as it is, with its status. */
  async answer(query, variables, { signal = AbortSignal.timeout(15_000), ...headers } = {}) {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...this.headers, ...headers },
      body: JSON.stringify({ query, variables }),
      signal,
    });
    return { status: response.status, headers: response.headers, ...(await response.json()) };
  }

  /** The data of an answer without errors. */
  async ask(query, variables) {
    const { data, errors } = await this.answer(query, variables);
    assert.deepEqual(errors, undefined, query);
    return data;
  }

  /** The receipt of a command that is carried out. */
  async command(name, input) {
    const type = `${name[0].toUpperCase()}${name.slice(1)}Input`;
    const data = await this.ask(`mutation($input: ${type}!) { ${name}(input: $input) { ${NO_ERRORS} } }`, { input });
    assert.deepEqual(data[name].errors, [], name);
    return data[name].receipt;
  }

  /** Places an order, and gives its id. */
  async place(lines, more = {}) {
    const items = lines.map(([productId, quantity]) => ({ productId, quantity }));
    return (await this.command('placeOrder', { lines: items, ...more })).aggregateId;
  }

  async pay(orderId) {
    return this.command('payOrder', { orderId, reference: 'card-4242' });
  }

  /** Waits until the read side has what a receipt proves. */
  async see(receipt) {
    const kind = receipt.aggregateId.split('_')[0];
    const wait = 'consistency: { token: $token, timeoutMs: 8000, onTimeout: FAIL }';
    await this.ask(`query($id: ID!, $token: String!) { ${kind}(id: $id, ${wait}) { version } }`, {
      id: receipt.aggregateId,
      token: receipt.token,
    });
    return receipt.aggregateId;
  }
}

export const admin = (server) => new Caller(token('admin', 'ADMIN'), server);
export const staff = (server) => new Caller(token('staff', 'STAFF'), server);
export const nobody = (server) => new Caller(undefined, server);

/** A new customer, who can be seen. */
export async function customer(name = 'Ada') {
  const email = `${randomUUID()}@example.com`;
  const id = await admin().see(await admin().command('createUser', { displayName: name, email }));
  return Object.assign(new Caller(token(id, 'CUSTOMER')), { id, email });
}

/** A new product, which can be seen. */
export async function product(stock = 1_000, amount = '6.50') {
  const price = { amount, currencyCode: 'GBP' };
  return staff().see(await staff().command('createProduct', { sku: randomUUID(), name: 'Tea', price, stock }));
}
