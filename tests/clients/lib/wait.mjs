// Waiting, always with an end. Nothing here sleeps instead of a condition.

import { setTimeout as after } from 'node:timers/promises';

/** How long anything may take that should not take long. */
export const PATIENCE = 10_000;

/** What a promise gives, or an error that says what did not come. */
export async function within(promise, what, ms = PATIENCE) {
  const stop = new AbortController();
  const late = after(ms, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`${what}: not within ${ms} ms`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}

/** Asks again until the answer is a true one, and gives it. */
export async function until(ask, what, ms = PATIENCE) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await after(50);
  }
}

/** A line of things that come; taking one waits for it. */
export class Queue {
  #things = [];
  #takers = [];
  #end;

  push(thing) {
    const taker = this.#takers.shift();
    if (taker) taker.resolve(thing);
    else this.#things.push(thing);
  }

  /** Nothing more will come, and why. */
  end(reason) {
    this.#end ??= reason;
    this.#takers.splice(0).forEach(({ reject }) => reject(reason));
  }

  take(what = 'the next thing', ms = PATIENCE) {
    if (this.#things.length > 0) return Promise.resolve(this.#things.shift());
    if (this.#end) return Promise.reject(this.#end);
    let taker;
    const coming = new Promise((resolve, reject) => this.#takers.push((taker = { resolve, reject })));
    return within(coming, what, ms).finally(() => {
      this.#takers = this.#takers.filter((other) => other !== taker);
    });
  }

  /** What has come and was not taken. */
  get waiting() {
    return [...this.#things];
  }
}
