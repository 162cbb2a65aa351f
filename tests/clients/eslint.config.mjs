// Every rule for schemas that graphql-eslint has, those of Relay included. What does not fit stands below, with its reason.

import { fileURLToPath } from 'node:url';

import graphql from '@graphql-eslint/eslint-plugin';

const schema = fileURLToPath(new URL('../../schema.graphql', import.meta.url));
const rule = (name, ...setting) => ({ [`@graphql-eslint/${name}`]: setting.length > 1 ? setting : setting[0] });

export default [
  {
    files: ['**/schema.graphql'],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema } } },
    plugins: { '@graphql-eslint': graphql },
    rules: {
      ...graphql.configs['flat/schema-all'].rules,
      ...graphql.configs['flat/schema-relay'].rules,

      // There are commands and things to follow: both root types are meant.
      ...rule('no-root-type', 'off'),
      // A mutation always answers with a payload; what may be missing is in it.
      ...rule('require-nullable-result-in-root', 'off'),
      // The object beside the receipt is the question to the read side; a whole Query there would invite unbounded waits.
      ...rule('require-field-of-type-query-in-mutation-result', 'off'),
      // Values, pages and payloads are nobody: they have no identity to have an id of.
      ...rule('strict-id-in-types', 'error', {
        exceptions: {
          types: ['Address', 'AllowedAction', 'CommandError', 'Money', 'OrderChange', 'OrderSummary', 'PageInfo', 'Pipeline',
            'Projection', 'RebuildProgress', 'RebuildReceipt', 'Receipt', 'SalesBucket', 'SalesReport', 'ShipmentLine'],
          suffixes: ['Connection', 'Edge', 'Payload'],
        },
      }),
      // Short lists (lines, shipments, allowed actions) are whole and need no pages, and connections have `nodes` beside `edges`.
      // An event of a history is found through its order and not by node(id).
      ...rule('relay-edge-types', 'error', { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false }),
      // A history is read from its beginning, and only forward.
      ...rule('relay-arguments', 'error', { includeBoth: false }),
      // Types and fields are sorted with capitals before small letters; the rule wants them mixed, and `id` first.
      ...rule('alphabetize', 'error', { values: true, arguments: ['FieldDefinition', 'DirectiveDefinition'] }),
    },
  },
];
