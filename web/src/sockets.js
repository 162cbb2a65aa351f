// The sockets of running subscriptions, and fresh tokens for them.
// A socket lives as long as its token. The server takes a fresh one of the same user on the open socket, as a ping:
//
//   { "type": "ping", "payload": { "authorization": "Bearer …" } }
//
// A bad one, or somebody else's, would end the socket and what runs on it. So only one of the same person is sent, and only after
// the server has taken it elsewhere. Whoever signs in as another person leaves what is running to the first.

import { authorization, samePerson } from './claims.js';

/** Each open socket, with the Authorization that it has. */
const held = new Map();

/** Listeners for a client of graphql-ws that keep its socket in view. */
export function watch(headers) {
  let socket;
  return {
    connected: (opened) => {
      socket = opened;
      held.set(socket, authorization(headers));
    },
    closed: () => held.delete(socket),
  };
}

/** Hands what stands in the headers now to the sockets that it may renew. */
export async function renew(endpoint, headers) {
  const fresh = authorization(headers);
  const waiting = () => [...held].filter(([, old]) => old !== fresh && samePerson(old, fresh)).map(([socket]) => socket);
  if (waiting().length === 0 || !(await isTaken(endpoint, fresh))) return;
  for (const socket of waiting()) {
    if (socket.readyState !== WebSocket.OPEN) continue;
    socket.send(JSON.stringify({ type: 'ping', payload: { authorization: fresh } }));
    held.set(socket, fresh);
  }
}

async function isTaken(endpoint, fresh) {
  try {
    const headers = { 'Content-Type': 'application/json', Accept: 'application/json', Authorization: fresh };
    const response = await fetch(endpoint, { method: 'POST', headers, body: '{"query":"{ __typename }"}' });
    return response.ok;
  } catch {
    return false;
  }
}
