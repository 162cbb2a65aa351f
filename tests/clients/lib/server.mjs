// The server under test, which scripts/clients has started, and servers of a test's own beside it, on the same stores.

import { execFile, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { within } from './wait.mjs';

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run scripts/clients`);
  return value;
}

export const URL_OF_SERVER = needed('ORDERFLOW_URL');
const BINARY = needed('ORDERFLOW');
const SECRET = needed('ORDERFLOW_JWT_SECRET');

export const graphqlUrl = (server = URL_OF_SERVER) => `${server}/graphql`;
export const socketUrl = (server = URL_OF_SERVER) => graphqlUrl(server).replace(/^http/, 'ws');

/** A token as `orderflow token` makes it. */
export async function issuedToken(subject, role, ttl) {
  const { stdout } = await promisify(execFile)(BINARY, ['token', '--sub', subject, '--role', role, '--ttl', ttl]);
  return stdout.trim();
}

/** A token signed here: quicker, and it may have expired before it was made. */
export function token(subject, role, seconds = 3600) {
  const part = (claims) => Buffer.from(JSON.stringify(claims)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${part({ typ: 'JWT', alg: 'HS256' })}.${part({ sub: subject, role, exp })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** A server of a test's own, which leaves relaying and projecting to the other; it ends with the test that `t` is of. */
export class OwnServer {
  static async start(t, { dev = true, flags = ['--role', 'api'], env = {} } = {}) {
    const child = spawn(BINARY, ['serve', ...(dev ? ['--dev'] : []), ...flags], {
      env: { ...process.env, ORDERFLOW_HTTP_ADDR: '127.0.0.1:0', ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const server = new OwnServer();
    server.child = child;
    server.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    t.after(() => child.kill('SIGKILL'));
    const lines = createInterface({ input: child.stdout });
    const address = new Promise((resolve) => {
      lines.on('line', (line) => resolve(/^Orderflow listens on (\S+)/.exec(line)?.[1]));
    });
    server.url = await within(address, 'the address of a server', 20_000);
    return server;
  }

  /** Asks it to go, and waits until it has. */
  async stop() {
    this.child.kill('SIGTERM');
    return within(this.ended, 'the end of a server', 15_000);
  }
}
