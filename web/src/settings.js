// What the server tells the page: which endpoint, which headers to start with, who one may sign in as.
//
//   { "endpoint": "/graphql",
//     "headers": { "Authorization": "Bearer …" },
//     "tokens": [{ "label": "ADMIN Ada", "token": "…" }],       (fresh ones: the same again at /graphiql/settings.json)
//     "examples": [{ "query": "…", "variables": { … } }] }      (in place of those in examples/)
//
// Every part may be missing. The text stands in a script element, so whoever writes it must escape "<" as "\u003c".

export function readSettings() {
  const { endpoint, headers, tokens, examples } = parse(document.getElementById('settings').textContent);
  return {
    endpoint: typeof endpoint === 'string' ? endpoint : '/graphql',
    headers: headers ?? {},
    tokens: tokens ?? [],
    examples,
  };
}

// A page without settings is still an explorer; a blank page would be nothing.
function parse(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    console.error('The settings of this page are not JSON.', error);
    return {};
  }
}
