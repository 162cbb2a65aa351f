// Checks that every example is a valid operation of the API and that its variables fit:
//   npm run check [-- path/to/schema.graphql]
// Without a path it reads the server's own generated schema.

import { readFile } from 'node:fs/promises';

import { buildSchema, getVariableValues, Kind, parse, validate } from 'graphql';

import { readExamples } from './examples.mjs';
import { today } from './src/today.js';

const path = process.argv[2] ?? new URL('../schema.graphql', import.meta.url);
const schema = buildSchema(await readFile(path, 'utf8'));

function problems({ query, variables }) {
  const document = parse(query);
  const invalid = validate(schema, document);
  if (invalid.length > 0) return invalid;

  const values = JSON.parse(today(variables || '{}'));
  const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  return operations.flatMap(({ variableDefinitions }) => getVariableValues(schema, variableDefinitions, values).errors ?? []);
}

for (const example of await readExamples()) {
  const found = problems(example);
  console.log(`${found.length === 0 ? 'ok  ' : 'BAD '} ${example.name}`);
  found.forEach(({ message }) => console.log(`     ${message}`));
  if (found.length > 0) process.exitCode = 1;
}
