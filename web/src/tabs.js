// Which tabs the page opens with: those of the last visit, else the examples.
// GraphiQL keeps tabs by itself, but on its own it opens a stored tab without its variables,
// and it knows nothing of tokens that expire. So we read its store before it does.

import { tryParseJSONC } from '@graphiql/react';
import { builtIn } from 'orderflow:examples';

import { today } from './today.js';
import { begin, upToDate } from './tokens.js';

// Other servers have a GraphiQL on localhost:8080 too; their tabs are not ours.
const PREFIX = 'orderflow:';
const TABS = 'graphiql:tabState';
const WITH_HEADERS = [TABS, 'graphiql:queries', 'graphiql:favorites'];

export const storage = {
  getItem: (key) => localStorage.getItem(PREFIX + key),
  setItem: (key, value) => localStorage.setItem(PREFIX + key, value),
  removeItem: (key) => localStorage.removeItem(PREFIX + key),
  clear: () => ownKeys().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return ownKeys().length;
  },
};

function ownKeys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}

export function openTabs(settings) {
  begin(settings.tokens, storage);
  renewStored();
  const defaultHeaders = headersText(settings.headers);
  const defaultTabs = (settings.examples ?? builtIn).map((example) => tab(example, defaultHeaders));
  const active = storedTab(defaultHeaders) ?? defaultTabs[0];
  return {
    defaultHeaders,
    defaultQuery: '',
    defaultTabs,
    initialQuery: active?.query ?? '',
    initialVariables: active?.variables ?? '',
    initialHeaders: active?.headers ?? defaultHeaders,
  };
}

function tab({ query, variables }, headers) {
  const text = typeof variables === 'object' ? JSON.stringify(variables, null, 2) : variables;
  return { query, variables: today(text ?? ''), headers };
}

// With nothing to give, a hint in a comment: an empty bearer token would be refused where none is fine.
function headersText(headers) {
  if (Object.keys(headers).length === 0) return '{\n  // "Authorization": "Bearer TOKEN"\n}';
  return JSON.stringify(headers, null, 2);
}

// The editor's own grammar: JSON with comments. What cannot be read is the reader's to mend, in the editor.
export function parseHeaders(text) {
  try {
    return tryParseJSONC(text) ?? {};
  } catch {
    return {};
  }
}

// A stored tab has no headers when the reader chose not to keep them; it gets those of a new tab.
function storedTab(defaultHeaders) {
  try {
    const state = JSON.parse(storage.getItem(TABS));
    state.tabs.forEach((tab) => (tab.headers ??= defaultHeaders));
    storage.setItem(TABS, JSON.stringify(state));
    return state.tabs[state.activeTabIndex];
  } catch {
    return undefined;
  }
}

// A reader cannot tell why yesterday's token does not work today, so those that were handed out here are replaced wherever GraphiQL
// keeps headers.
function renewStored() {
  for (const key of WITH_HEADERS) {
    const stored = storage.getItem(key);
    if (stored) storage.setItem(key, upToDate(stored));
  }
}
