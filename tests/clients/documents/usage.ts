// What a frontend writes over the generated types. That it compiles is the test; nobody runs it.

import type { ResultOf, VariablesOf } from '@graphql-typed-document-node/core';

import { useFragment } from '../generated/codegen';
import {
  CommandsPlaceOrderMutationDocument,
  Commands_ErrorFragmentDoc,
  Commands_OrderFragmentDoc,
  Commands_ReceiptFragmentDoc,
  OrderListQueryDocument,
  OrderList_OrderFragmentDoc,
  OrderPageSubscriptionDocument,
  ShopNodeQueryDocument,
  ShopSalesQueryDocument,
  type CommandErrorCode,
  type OrderStatus,
} from '../generated/codegen/graphql';

export function rows(data: ResultOf<typeof OrderListQueryDocument>): string[] {
  const { edges, pageInfo, totalCount } = data.orders;
  const after: string | null = pageInfo.endCursor;
  const lines = edges.map(({ cursor, node }) => {
    const order = useFragment(OrderList_OrderFragmentDoc, node);
    const status: OrderStatus = order.status;
    // An amount is a text: there is no arithmetic to get wrong.
    const amount: string = order.total.amount;
    // @ts-expect-error what belongs to a fragment is seen through it only
    void node.status;
    return `${cursor} ${order.number} ${status} ${amount} ${order.reference ?? ''}`;
  });
  return [...lines, `${totalCount} ${after ?? ''}`];
}

/** Every refusal there is. One more in the schema, and this no longer compiles. */
export function sentence(code: CommandErrorCode): string {
  switch (code) {
    case 'AMOUNT_MISMATCH':
    case 'COMMAND_ID_REUSED':
    case 'CONFLICT':
    case 'CURRENCY_MISMATCH':
    case 'EMAIL_TAKEN':
    case 'EMPTY_ORDER':
    case 'FORBIDDEN':
    case 'INSUFFICIENT_STOCK':
    case 'INVALID_INPUT':
    case 'NOT_FOUND':
    case 'PRODUCT_UNAVAILABLE':
    case 'QUANTITY_EXCEEDED':
    case 'SKU_TAKEN':
    case 'WRONG_STATUS':
      return code.toLowerCase();
  }
}

export function told(data: ResultOf<typeof CommandsPlaceOrderMutationDocument>): string {
  const payload = useFragment(Commands_OrderFragmentDoc, data.placeOrder);
  const [error] = useFragment(Commands_ErrorFragmentDoc, payload.errors);
  if (error) return `${sentence(error.code)} at ${error.path?.join('.') ?? 'large'}`;
  const receipt = useFragment(Commands_ReceiptFragmentDoc, payload.receipt);
  // @ts-expect-error a receipt may be missing: that has to be looked at
  void receipt.token;
  return receipt?.token ?? '';
}

export const place: VariablesOf<typeof CommandsPlaceOrderMutationDocument> = {
  input: { lines: [{ productId: 'product_1', quantity: 2, unitPrice: { amount: '6.50', currencyCode: 'GBP' } }] },
};

// @ts-expect-error an order has lines
export const empty: VariablesOf<typeof CommandsPlaceOrderMutationDocument> = { input: {} };

// What has a default may be left out.
export const sales: VariablesOf<typeof ShopSalesQueryDocument> = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z' };

export function change({ orderChanged }: ResultOf<typeof OrderPageSubscriptionDocument>): string {
  switch (orderChanged.kind) {
    case 'SNAPSHOT':
    case 'CHANGE':
    case 'LEFT':
      return orderChanged.cursor;
    case 'RESYNC':
      return `${orderChanged.skippedVersions}`;
  }
}

export function label({ node }: ResultOf<typeof ShopNodeQueryDocument>): string {
  switch (node?.__typename) {
    case 'Order':
      return node.number;
    case 'Product':
      return node.sku;
    case 'User':
      return node.displayName;
    case undefined:
      return 'nobody';
  }
}
