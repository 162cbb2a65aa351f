// Chromium without a window, spoken to by the Chrome DevTools Protocol. It reaches 127.0.0.1 and nothing else, and what it tries
// elsewhere is written down. https://chromedevtools.github.io/devtools-protocol/

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import WebSocket from 'ws';

import { until, within } from './wait.mjs';

const FLAGS = [
  '--headless',
  '--remote-debugging-port=0',
  '--window-size=1600,1200',
  // No name leads anywhere, whatever page or browser think of.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  '--disable-gpu',
  // Containers are short of it.
  '--disable-dev-shm-usage',
  // As root, and in containers, there is none to be had. What is opened is ours.
  '--no-sandbox',
];

export class Browser {
  #next = 0;
  #answers = new Map();
  #sessions = new Map();

  /** A browser with a profile of its own; both are gone when `stop` is called. */
  static async start() {
    const binary = process.env.CHROMIUM;
    if (!binary) throw new Error('CHROMIUM is not set: run scripts/clients, which finds or installs it');
    const browser = new Browser();
    browser.profile = await mkdtemp(join(tmpdir(), 'orderflow-chromium-'));
    const flags = [...FLAGS, `--user-data-dir=${browser.profile}`, 'about:blank'];
    browser.child = spawn(binary, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
    browser.gone = new Promise((resolve) => browser.child.once('exit', resolve));
    const said = [];
    const address = new Promise((resolve, reject) => {
      createInterface({ input: browser.child.stderr }).on('line', (line) => {
        said.splice(0, said.length - 20);
        said.push(line);
        const url = /^DevTools listening on (ws:\S+)/.exec(line)?.[1];
        if (url) resolve(url);
      });
      browser.child.once('error', reject);
      browser.gone.then((code) => reject(new Error(`${binary} ended with ${code}: ${said.join('\n')}`)));
    });
    browser.socket = new WebSocket(await within(address, 'the address of the browser', 30_000), { maxPayload: 1 << 28 });
    browser.socket.on('message', (data) => browser.#heard(JSON.parse(data)));
    await within(new Promise((resolve) => browser.socket.once('open', resolve)), 'the browser');
    return browser;
  }

  async stop() {
    this.child.kill('SIGKILL');
    await this.gone;
    this.socket.terminate();
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }

  /** A page in the same profile: it finds what earlier ones have stored. `first` runs in it before its own scripts do. */
  async open(url, first = undefined) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, targetId, sessionId);
    await page.watch(sessionId);
    await page.send('Page.enable');
    if (first) await page.send('Page.addScriptToEvaluateOnNewDocument', { source: first });
    await page.go(url);
    return page;
  }

  listen(session, listener) {
    this.#sessions.set(session, listener);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = (this.#next += 1);
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    const answer = new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject, method }));
    return within(answer, method, 20_000);
  }

  #heard({ id, error, result, method, params, sessionId }) {
    if (id === undefined) return this.#sessions.get(sessionId)?.(method, params);
    const { resolve, reject, method: asked } = this.#answers.get(id);
    this.#answers.delete(id);
    if (error) reject(new Error(`${asked}: ${error.message}`));
    else resolve(result);
  }
}

export class Page {
  /** Requests to anywhere but loopback. */
  foreign = [];
  /** What the console shows in red, the page's own words and the browser's. */
  problems = [];
  /** Every request of the page, as `METHOD url`. */
  requests = [];
  /** What the page has sent over WebSockets, read as JSON. */
  sent = [];

  constructor(browser, target, session) {
    Object.assign(this, { browser, target, session });
  }

  /** Watches the page, or a worker that it has started. */
  async watch(session) {
    this.browser.listen(session, (method, params) => this.#noticed(method, params, session));
    const tell = (method, params) => this.browser.send(method, params, session);
    await Promise.all([tell('Runtime.enable'), tell('Log.enable').catch(() => {}), tell('Network.enable').catch(() => {})]);
    // Workers have no interception of their own; what they load is seen by Network.
    await tell('Fetch.enable', { patterns: [{ urlPattern: '*' }] }).catch(() => {});
    await tell('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: true });
    await tell('Runtime.runIfWaitingForDebugger');
  }

  #noticed(method, params, session) {
    switch (method) {
      case 'Target.attachedToTarget':
        return void this.watch(params.sessionId).catch((error) => this.problems.push(`${error}`));
      case 'Network.requestWillBeSent':
        this.requests.push(`${params.request.method} ${params.request.url}`);
        return this.#judge(params.request.url);
      case 'Network.webSocketCreated':
        return this.#judge(params.url);
      case 'Network.webSocketFrameSent':
        return void this.sent.push(JSON.parse(params.response.payloadData));
      case 'Fetch.requestPaused':
        return void this.#pass(params, session).catch(() => {});
      case 'Runtime.exceptionThrown':
        return void this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      case 'Runtime.consoleAPICalled':
        if (!['error', 'assert', 'warning'].includes(params.type)) return undefined;
        return void this.problems.push(`console: ${params.args.map((arg) => arg.value ?? arg.description).join(' ')}`);
      case 'Log.entryAdded':
        if (params.entry.level !== 'error') return undefined;
        return void this.problems.push(`${params.entry.text} ${params.entry.url ?? ''}`);
      default:
        return undefined;
    }
  }

  #judge(address) {
    const url = new URL(address);
    const own = ['data:', 'blob:', 'about:'].includes(url.protocol) || url.hostname === '127.0.0.1';
    if (!own && !this.foreign.includes(address)) this.foreign.push(address);
    return own;
  }

  #pass({ requestId, request }, session) {
    const answer = (method, params) => this.browser.send(method, { requestId, ...params }, session);
    if (this.#judge(request.url)) return answer('Fetch.continueRequest');
    return answer('Fetch.failRequest', { errorReason: 'AddressUnreachable' });
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  async go(url) {
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
  }

  async close() {
    await this.browser.send('Target.closeTarget', { targetId: this.target });
  }

  /** What a function gives in the page. It sees its arguments and nothing else of the test. */
  async run(work, ...args) {
    const expression = `(${work})(...${JSON.stringify(args)})`;
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Asks in the page until there is something. A page that is just being left has nothing. */
  until(what, work, ...args) {
    return until(() => this.run(work, ...args).catch(() => undefined), what);
  }

  /** Waits for an element and clicks into its middle, as a person does. */
  async click(selector) {
    const [x, y] = await this.until(selector, (wanted) => {
      const element = document.querySelector(wanted);
      element?.scrollIntoView({ block: 'nearest' });
      const box = element?.getBoundingClientRect();
      return box?.width ? [box.x + box.width / 2, box.y + box.height / 2] : undefined;
    }, selector);
    for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) {
      await this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    }
  }

  /** Replaces all text of the editor in an element by pasting: what is typed into an editor, it completes. */
  async write(selector, text) {
    const hasFocus = (wanted) => document.querySelector(`${wanted} textarea`) === document.activeElement;
    // What has only just been shown may move away under the click.
    await until(async () => {
      await this.click(selector);
      return this.run(hasFocus, selector);
    }, `${selector} to take the focus`);
    for (const type of ['rawKeyDown', 'keyUp']) {
      await this.send('Input.dispatchKeyEvent', { type, key: 'a', code: 'KeyA', windowsVirtualKeyCode: 65, modifiers: 2 });
    }
    await this.run((pasted) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', pasted);
      document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
    }, text);
  }
}
