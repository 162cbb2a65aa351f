// A line to the server that can be cut: while it is, nothing gets through and whoever tries is turned away.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

import { URL_OF_SERVER } from './server.mjs';

export class Line {
  #sockets = new Set();
  #cut = false;

  /** A line with an address of its own, for as long as the test of `t`. */
  static async open(t, to = URL_OF_SERVER) {
    const line = new Line();
    const { hostname, port } = new URL(to);
    const listener = createServer((near) => {
      if (line.#cut) return near.destroy();
      const far = connect({ host: hostname, port });
      for (const [one, other] of [[near, far], [far, near]]) {
        line.#sockets.add(one);
        one.setNoDelay(true);
        one.on('error', () => {});
        one.once('close', () => {
          line.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
      return undefined;
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    line.url = `http://127.0.0.1:${listener.address().port}`;
    t.after(() => {
      line.cut();
      listener.close();
    });
    return line;
  }

  cut() {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#cut = false;
  }
}
