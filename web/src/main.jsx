// The explorer page: GraphiQL with this server's endpoint, tokens and example operations.
// It loads nothing from anywhere but /graphiql/, so that it works with the network closed.

import './workers.js';
import 'graphiql/style.css';
import './page.css';

import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { createFetcher } from './fetcher.js';
import { Renewal } from './renewal.jsx';
import { readSettings } from './settings.js';
import { SignIn } from './sign-in.jsx';
import { openTabs, parseHeaders, storage } from './tabs.js';

const settings = readSettings();
const tabs = openTabs(settings);

createRoot(document.getElementById('root')).render(
  <GraphiQL
    fetcher={createFetcher(settings.endpoint, parseHeaders(tabs.initialHeaders))}
    storage={storage}
    shouldPersistHeaders
    defaultEditorToolsVisibility
    {...tabs}
  >
    <GraphiQL.Logo>
      <SignIn />
      <Renewal endpoint={settings.endpoint} />
    </GraphiQL.Logo>
  </GraphiQL>,
);
