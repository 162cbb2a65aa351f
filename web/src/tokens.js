// Development tokens: who one may be with one click, for as long as the page is open and in whatever an earlier visit has kept.
// Each page is given fresh ones, and fetches fresh ones before these end. What stood in the headers goes on to work: a token that
// was handed out here is replaced wherever it is found by that of the same person. Others are nobody's business but the reader's.

import { claims } from './claims.js';

const SETTINGS = '/graphiql/settings.json';
const HANDED_OUT = 'handed-out';
/** Tokens that are remembered; with four people, those of the last fifty visits. */
const KEPT = 200;
const MINUTE = 60_000;

const listeners = new Set();
let storage;
let current = [];
/** The label of each token that this browser was given. */
let handedOut = new Map();

export function begin(tokens, kept) {
  storage = kept;
  handedOut = remembered();
  take(tokens);
  document.addEventListener('visibilitychange', () => {
    // Timers stand still while a machine sleeps.
    if (!document.hidden && left() < MINUTE) renew();
  });
}

/** For useSyncExternalStore. */
export const people = () => current;
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The same text, with the present token in place of each earlier one. */
export function upToDate(text) {
  for (const [token, label] of handedOut) {
    const now = current.find((person) => person.label === label)?.token;
    if (now && now !== token && text.includes(token)) text = text.replaceAll(token, () => now);
  }
  return text;
}

function take(tokens) {
  current = tokens.filter(({ token }) => plain(token));
  // Another page may have been given some meanwhile.
  handedOut = new Map([...remembered(), ...handedOut, ...current.map(({ label, token }) => [token, label])].slice(-KEPT));
  storage.setItem(HANDED_OUT, JSON.stringify([...handedOut]));
  listeners.forEach((listener) => listener());
  schedule();
}

function remembered() {
  try {
    return new Map(JSON.parse(storage.getItem(HANDED_OUT)).filter(([token]) => plain(token)));
  } catch {
    return new Map();
  }
}

/** Replacing in stored JSON is safe for the alphabet of a token, and for nothing shorter than one. */
function plain(token) {
  return /^[\w.+/=~-]{16,}$/.test(token);
}

/** Milliseconds until the first of the present tokens ends. */
function left() {
  return Math.min(...current.map(({ token }) => (claims(token)?.exp ?? Infinity) * 1000 - Date.now()));
}

let timer;
// A minute before the end, or half-way when that is less. One that is over when it comes is left alone: the clocks do not agree.
function schedule() {
  clearTimeout(timer);
  const ms = left();
  if (ms > 0 && ms < 20 * 24 * 60 * MINUTE) timer = setTimeout(renew, ms > 2 * MINUTE ? ms - MINUTE : ms / 2);
}

async function renew() {
  try {
    const response = await fetch(SETTINGS, { cache: 'no-store' });
    take((await response.json()).tokens ?? []);
  } catch {
    // The server is away. While there is time, it is asked again.
    if (left() > 0) timer = setTimeout(renew, 10_000);
  }
}
