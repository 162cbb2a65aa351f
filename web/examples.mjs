// Reads examples/: one .graphql file is one tab, in the order of the names,
// with the .json file of the same name as its variables.

import { readdir, readFile } from 'node:fs/promises';

const folder = new URL('examples/', import.meta.url);

export async function readExamples() {
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names
      .filter((name) => name.endsWith('.graphql'))
      .map(async (name) => {
        const variables = name.replace('.graphql', '.json');
        return {
          name,
          query: await read(name),
          variables: names.includes(variables) ? await read(variables) : '',
        };
      }),
  );
}

async function read(name) {
  return (await readFile(new URL(name, folder), 'utf8')).trimEnd();
}
