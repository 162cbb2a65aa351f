// Monaco asks for its workers by label. GraphiQL's own set-ups write a line to the console for each, so here is ours.

import { names } from 'orderflow:workers';

globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(new URL(names[`${label}.worker`] ?? names['editor.worker'], import.meta.url)),
};
