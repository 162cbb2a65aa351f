// Keeps the headers of the active tab and the sockets of running subscriptions up to date with each other. Shows nothing.

import { pick, useGraphiQL } from '@graphiql/react';
import { useEffect, useSyncExternalStore } from 'react';

import { renew } from './sockets.js';
import { parseHeaders } from './tabs.js';
import { onChange, people, upToDate } from './tokens.js';

export function Renewal({ endpoint }) {
  const { headerEditor } = useGraphiQL(pick('headerEditor'));
  const headers = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.headers ?? '');
  const tokens = useSyncExternalStore(onChange, people);

  useEffect(() => {
    const text = upToDate(headers);
    // Writing comes back here as a change of the headers.
    if (text !== headers) headerEditor?.setValue(text);
    else renew(endpoint, parseHeaders(text));
  }, [endpoint, headerEditor, headers, tokens]);
  return null;
}
