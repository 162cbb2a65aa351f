// What was released once goes on working: the schema is compared with that of the last release, tests/released.graphql, which is replaced
// by schema.graphql when a version is released and at no other time. Until the first version it is the schema that was landed before.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { buildSchema, findBreakingChanges, findDangerousChanges } from 'graphql';

const read = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const released = read('tests/released.graphql');
const told = (changes) => changes.map(({ type, description }) => `${type}: ${description}`);
const compared = (find, now) => told(find(buildSchema(released), buildSchema(now)));

/** Changes that old clients may stumble over, taken on purpose, each with its reason. One that is there no longer is to be struck out. */
const accepted = [
  // An operator's discard must not leave a hole in a history. Generated code that lists every kind without a default must add it.
  'VALUE_ADDED_TO_ENUM: EVENT_DISCARDED was added to enum type OrderEventType.',
  // Off unless asked for, so that nobody hears what they did not expect.
  'OPTIONAL_ARG_ADDED: An optional arg startCursor on Subscription.ordersChanged was added.',
];

describe('since the last release', () => {
  test('nothing that clients rely on has gone or changed', () => {
    assert.deepEqual(compared(findBreakingChanges, read('schema.graphql')), [], 'deprecate it instead, and add the new beside it');
  });

  test('what clients might stumble over was taken on purpose', () => {
    assert.deepEqual(compared(findDangerousChanges, read('schema.graphql')).sort(), [...accepted].sort());
  });

  test('a field that goes is seen', () => {
    const without = released.replace(/^\t"""\n(?:(?!""").)*?\n\t"""\n\tplacedAt: DateTime!\n/ms, '');
    assert.notEqual(without, released);
    assert.deepEqual(compared(findBreakingChanges, without), ['FIELD_REMOVED: Order.placedAt was removed.']);
  });

  test('an argument that must be given now is seen', () => {
    const stricter = released.replace('consistency: ConsistencyInput', 'consistency: ConsistencyInput!');
    assert.notEqual(stricter, released);
    assert.match(compared(findBreakingChanges, stricter).join(), /ARG_CHANGED_KIND/);
  });
});
