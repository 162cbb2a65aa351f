// What people do in GraphiQL, in one line each.

import { until } from './wait.mjs';

const KEPT = 'orderflow:graphiql:tabState';

export class Explorer {
  constructor(page) {
    this.page = page;
  }

  /** The page, once there is something to work with. */
  static async open(t, browser, url, first) {
    const page = await browser.open(`${url}/graphiql`, first);
    t.after(() => page.close().catch(() => {}));
    const explorer = new Explorer(page);
    await explorer.ready();
    return explorer;
  }

  /** With its editors, and with the schema or the news that there is none. */
  async ready() {
    await this.page.until('the editors', () => {
      const editors = document.querySelectorAll('.graphiql-query-editor .view-line, .result-window .monaco-editor');
      return editors.length >= 2 && !document.querySelector('.graphiql-spinner');
    });
  }

  /** A new tab with an operation, and with a token in its headers if one is given. */
  async write(operation, bearer) {
    const tabs = await this.page.run(() => document.querySelectorAll('.graphiql-tab').length);
    await this.page.click('.graphiql-tab-add');
    await this.page.until('a new tab', (before) => document.querySelectorAll('.graphiql-tab').length > before, tabs);
    await this.page.write('.graphiql-query-editor .graphiql-editor', operation);
    if (bearer) await this.signIn(bearer);
    await this.kept('the tab to be kept', ({ query, headers }) => query === operation && (!bearer || headers?.includes(bearer)));
  }

  /** Puts a token into the headers of the tab. */
  async signIn(bearer) {
    await this.page.click('button[data-name="headers"]');
    const headers = JSON.stringify({ Authorization: `Bearer ${bearer}` }, null, 2);
    await this.page.write('section[aria-label="Headers"] .graphiql-editor:not(.hidden)', headers);
    await this.kept('the headers to be kept', (tab) => tab.headers === headers);
  }

  /** The tabs as they are kept for the next visit. A first visit keeps them a moment after it shows them. */
  tabs() {
    return until(() => this.page.run((key) => JSON.parse(localStorage.getItem(key)), KEPT), 'tabs that are kept');
  }

  /** Waits until the active tab is kept like this. */
  async kept(what, like) {
    let tab;
    const look = async () => {
      const { tabs, activeTabIndex } = await this.tabs();
      tab = tabs[activeTabIndex];
      return tab && like(tab);
    };
    await until(look, what).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(tab, null, 2)}`);
    });
  }

  execute() {
    return this.page.click('.graphiql-execute-button');
  }

  /** Waits until the result shows a text. */
  async shows(text) {
    const result = () => document.querySelector('.result-window .view-lines')?.innerText.replaceAll('\u00a0', ' ') ?? '';
    try {
      await this.page.until(text, `(wanted) => (${result})().includes(wanted)`, text);
    } catch {
      throw new Error(`the result does not show ${text}:\n${await this.page.run(result)}`);
    }
  }

  /** The Authorization in the pings that it has sent. */
  get renewals() {
    return this.page.sent.filter(({ type, payload }) => type === 'ping' && payload).map(({ payload }) => payload.authorization);
  }

  /** Waits until it has handed a token to a socket. */
  async renews(what, like) {
    await until(() => this.renewals.some(like), what);
  }
}
