// Orders to walk through while others are being placed, for every client with pages.

import assert from 'node:assert/strict';

import { customer, product, staff } from './shop.mjs';

export const EXISTING = 40;

/** A customer with orders, half of them placed at the same moment: a cursor must tell those apart too. */
export async function customerWithOrders() {
  const [ada, tea] = [await customer(), await product(100_000)];
  const placed = await Promise.all(
    Array.from({ length: EXISTING }, async (_, n) => {
      const more = n % 2 ? { placedAt: '2026-01-02T03:04:05Z' } : {};
      const lines = [{ productId: tea, quantity: 1 + (n % 3) }];
      return staff().command('placeOrder', { customerId: ada.id, lines, ...more });
    }),
  );
  await Promise.all(placed.map((receipt) => ada.see(receipt)));
  return { ada, tea, ids: placed.map(({ aggregateId }) => aggregateId) };
}

/** Places orders, early and late ones, one after the other while `work` goes on; at least a few, at most a hundred. */
export async function whileOrdersAreBeingPlaced({ ada, tea }, work) {
  let working = true;
  let placed = 0;
  const placing = (async () => {
    while ((working || placed < 3) && placed < 100) {
      const more = placed % 2 ? { placedAt: '2026-01-02T03:04:05Z' } : {};
      const input = { customerId: ada.id, lines: [{ productId: tea, quantity: 1 }], ...more };
      await ada.see(await staff().command('placeOrder', input));
      placed += 1;
    }
  })();
  try {
    return await work();
  } finally {
    working = false;
    await placing;
  }
}

/** Every order that was there at the start has been met, and none twice. */
export function assertWhole(met, existing) {
  assert.equal(new Set(met).size, met.length, 'one came twice');
  assert.deepEqual(existing.filter((id) => !met.includes(id)), [], 'these were left out');
}
