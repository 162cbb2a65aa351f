// Monaco asks for its workers by label. GraphiQL's own set-ups write a line to the console for each, so here is ours.

globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    switch (label) {
      case 'graphql':
        return new Worker(new URL('graphql.worker.js', import.meta.url));
      case 'json':
        return new Worker(new URL('json.worker.js', import.meta.url));
      default:
        return new Worker(new URL('editor.worker.js', import.meta.url));
    }
  },
};
