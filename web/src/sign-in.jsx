// Chooses whose token stands in the headers of the active tab. The headers editor stays the truth:
// the list only writes into it and shows what it finds there.

import { pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useSyncExternalStore } from 'react';

import { onChange, people } from './tokens.js';

export function SignIn() {
  const tokens = useSyncExternalStore(onChange, people);
  const { headerEditor, schema } = useGraphiQL(pick('headerEditor', 'schema'));
  const headers = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.headers ?? '');
  const { introspect } = useGraphiQLActions();
  if (tokens.length === 0) return 'Orderflow';

  const choose = (event) => {
    headerEditor?.setValue(withToken(headerEditor.getValue(), event.target.value));
    // The first introspection may have been refused for want of a token.
    if (!schema) introspect();
  };

  return (
    <label className="sign-in">
      Sign in as
      <select value={tokens.find(({ token }) => headers.includes(token))?.token ?? ''} onChange={choose}>
        <option value="" disabled hidden>
          someone else
        </option>
        {tokens.map(({ label, token }) => (
          <option key={label} value={token}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}

const AUTHORIZATION = /("authorization"\s*:\s*)"(?:[^"\\]|\\.)*"/i;

// Replaces in place where it can, because the editor allows comments and these are worth keeping.
function withToken(text, token) {
  const value = JSON.stringify(`Bearer ${token}`);
  if (AUTHORIZATION.test(text)) return text.replace(AUTHORIZATION, (_, name) => name + value);
  return JSON.stringify({ ...parsed(text), Authorization: `Bearer ${token}` }, null, 2);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
