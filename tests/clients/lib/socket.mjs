// graphql-transport-ws by hand: what is sent is what the test wrote, and what comes is what the test sees.

import assert from 'node:assert/strict';

import WebSocket from 'ws';

import { socketUrl } from './server.mjs';
import { Queue, within } from './wait.mjs';

export class Socket {
  #messages = new Queue();

  constructor({ server, protocols = ['graphql-transport-ws'], headers = {} } = {}) {
    this.web = new WebSocket(socketUrl(server), protocols, { headers, handshakeTimeout: 5_000 });
    this.opened = new Promise((resolve, reject) => {
      this.web.once('open', resolve);
      this.web.once('error', reject);
    });
    this.opened.catch(() => {});
    this.closing = new Promise((resolve) => {
      this.web.once('close', (code, reason) => resolve({ code, reason: reason.toString(), at: Date.now() }));
    });
    this.pings = new Queue();
    this.closing.then(({ code, reason }) => {
      const closed = new Error(`the socket was closed with ${code} ${reason}`);
      this.#messages.end(closed);
      this.pings.end(closed);
    });
    this.web.on('error', () => {});
    this.web.on('message', (data) => this.#heard(JSON.parse(data)));
  }

  /** Connected, and nothing said. */
  static async open(t, options) {
    const socket = new Socket(options);
    t.after(() => socket.web.terminate());
    await within(socket.opened, 'an open socket');
    return socket;
  }

  /** Connected and signed in. */
  static async signedIn(t, bearer, options) {
    const socket = await Socket.open(t, options);
    socket.init(bearer);
    assert.deepEqual(await socket.next(), { type: 'connection_ack' });
    return socket;
  }

  /** The server's own pings are answered here, as every client answers them. */
  #heard(message) {
    if (message.type !== 'ping') return this.#messages.push(message);
    this.pings.push(message);
    this.send({ type: 'pong' });
  }

  send(message) {
    this.web.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  init(bearer) {
    this.send({ type: 'connection_init', payload: bearer && { Authorization: `Bearer ${bearer}` } });
  }

  /** A fresh token for a socket that is to stay. */
  renew(bearer) {
    this.send({ type: 'ping', payload: { authorization: `Bearer ${bearer}` } });
  }

  subscribe(id, query, variables) {
    this.send({ id, type: 'subscribe', payload: { query, variables } });
  }

  complete(id) {
    this.send({ id, type: 'complete' });
  }

  /** The next message, server pings left out. */
  next(what = 'a message', ms) {
    return this.#messages.take(what, ms);
  }

  /** The data of the next message, which must be a result of this operation. */
  async result(id, ms) {
    const message = await this.next(`a result of ${id}`, ms);
    assert.deepEqual([message.id, message.type, message.payload?.errors], [id, 'next', undefined], JSON.stringify(message));
    return message.payload.data;
  }

  /** An operation with one result: its data. */
  async ask(id, query, variables) {
    this.subscribe(id, query, variables);
    const data = await this.result(id);
    assert.deepEqual(await this.next(), { id, type: 'complete' });
    return data;
  }

  /** What has come and nobody has looked at. */
  get unread() {
    return this.#messages.waiting;
  }

  /** With what the server closes. */
  async closed(ms) {
    return (await within(this.closing, 'the end of the socket', ms)).code;
  }
}
