// Queries and mutations go by fetch, subscriptions by WebSocket, both to one endpoint
// and both with what the headers editor holds at that moment.

import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';

import { watch } from './sockets.js';

// GraphiQL introspects before its headers editor is there, so the first time it has none to pass: it gets firstHeaders.
// Anything else without headers is meant so.
export function createFetcher(endpoint, firstHeaders) {
  return (params, { headers } = {}) => {
    const sent = headers ?? (params.operationName === 'IntrospectionQuery' ? firstHeaders : {});
    return isSubscription(params) ? follow(endpoint, params, sent) : post(endpoint, params, sent);
  };
}

function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === 'subscription';
  } catch {
    // Not GraphQL: the server says so better than we could.
    return false;
  }
}

async function post(endpoint, params, headers) {
  const all = new Headers({
    'Content-Type': 'application/json',
    Accept: 'application/graphql-response+json, application/json',
  });
  Object.entries(headers).forEach(([name, value]) => all.set(name, value));

  const response = await fetch(endpoint, { method: 'POST', headers: all, body: JSON.stringify(params) });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's page or a bare status; without this the reader would see a complaint about JSON.
    throw failure(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
  }
}

// One socket for each run, since a socket keeps the identity that it was opened with. Its token may be renewed (sockets.js).
// No silent retry: a list subscription that reconnects without its cursor would skip changes and look healthy.
function follow(endpoint, params, headers) {
  const client = createClient({ url: socketUrl(endpoint), connectionParams: headers, retryAttempts: 0, on: watch(headers) });
  return {
    subscribe: (observer) => ({
      unsubscribe: client.subscribe(params, {
        next: (result) => observer.next(result),
        error: (error) => observer.error(explain(error)),
        complete: () => observer.complete(),
      }),
    }),
  };
}

function socketUrl(endpoint) {
  const url = new URL(endpoint, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

function explain(error) {
  if (error instanceof CloseEvent) {
    return failure(`The socket was closed: ${[error.code, error.reason].filter(Boolean).join(' ')}`);
  }
  if (error instanceof Event) return failure('The socket could not be opened.');
  return error;
}

// GraphiQL prints an Error's stack into the result; nobody reading an answer wants it.
function failure(message) {
  return { message };
}
