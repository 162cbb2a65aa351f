// A server to be abused: one of the test's own, so that what kills it kills nothing else. A lost one is replaced.

import assert from 'node:assert/strict';

import { OwnServer, graphqlUrl } from './server.mjs';
import { staff } from './shop.mjs';
import { until } from './wait.mjs';

/** How long an answer to anything may take, and to a plain question right after it. */
export const BOUND = 2_000;
export const HEALTHY = 500;

const QUESTION = '{ products(first: 1) { nodes { id } } }';

export class Target {
  #ends = [];

  async start() {
    this.server = await OwnServer.start({ after: (end) => this.#ends.push(end) });
    // What the first of all requests pays for is not measured.
    await until(async () => (await this.#ask(5_000).catch(() => ({}))).status === 200, 'a server that answers');
  }

  stop() {
    this.#ends.splice(0).forEach((end) => end());
  }

  get url() {
    return this.server.url;
  }

  #ask(ms) {
    return staff(this.url).answer(QUESTION, undefined, { signal: AbortSignal.timeout(ms) });
  }

  /** Sends something, and gives what is answered within the bound. The caller is nobody unless told: no secret is needed for this. */
  async send(body, { headers = {}, method = 'POST', path = '' } = {}) {
    const begun = performance.now();
    const response = await fetch(`${graphqlUrl(this.url)}${path}`, {
      method,
      headers: { ...(method === 'POST' && { 'content-type': 'application/json' }), ...headers },
      body: typeof body === 'object' && !(body instanceof Uint8Array) ? JSON.stringify(body) : body,
      signal: AbortSignal.timeout(BOUND),
    });
    const text = await response.text();
    const took = Math.round(performance.now() - begun);
    let json = {};
    try {
      json = JSON.parse(text);
    } catch {
      // Not everything that refuses speaks JSON.
    }
    return { status: response.status, bytes: text.length, took, code: json.errors?.[0]?.extensions?.code, ...json };
  }

  /** Does something terrible; right after it a plain question must be answered as ever. */
  async survives(something) {
    let failed;
    try {
      await something();
    } catch (error) {
      failed = error.name === 'TimeoutError' ? new Error(`no answer within ${BOUND} ms`) : error;
    }
    const begun = performance.now();
    const answer = await this.#ask(HEALTHY).catch((error) => ({ status: `${error.name} after ${HEALTHY} ms` }));
    if (answer.status !== 200) await this.#replace();
    if (failed) throw failed;
    assert.equal(answer.status, 200, `a plain question afterwards: ${Math.round(performance.now() - begun)} ms`);
  }

  /** One that is only busy comes round; one that is lost is killed, and another takes its place. */
  async #replace() {
    const back = await this.#ask(1_000).catch(() => undefined);
    if (back?.status === 200) return;
    this.stop();
    await this.start();
  }
}
