/* server.js - asking the server, and its event streams. */

class Problem extends Error {
  constructor({ code = '', message = '', hint = '', field = '' } = {}, status = 0) {
    super(message || words.failed);
    Object.assign(this, { code, hint, field, status });
  }
  text() {
    const told = this.hint ? `${this.message.replace(/\.$/, '')}. ${this.hint[0].toUpperCase()}${this.hint.slice(1)}` : this.message;
    return (words.codes[this.code] ? `${words.codes[this.code]}：` : '') + told.replace(/([^.!?。])$/, '$1.');
  }
}

let key = null;
try { key = sessionStorage.getItem('dreamo.key'); } catch { /* forbidden */ }

async function askForKey() {
  const dialog = $('key');
  $('key-problem').textContent = key ? words.keyWrong : '';
  $('key-value').value = '';
  if (!dialog.open) dialog.showModal();
  await new Promise((done) => dialog.addEventListener('close', done, { once: true }));
  key = $('key-value').value;
  try { sessionStorage.setItem('dreamo.key', key); } catch { /* forbidden: asked again after a reload */ }
}

function offline(yes) {
  $('offline').hidden = !yes;
  $('offline').textContent = yes ? words.offline : '';
}

function noAnswer() {
  offline(true);
  return new Problem({ code: 'offline', message: words.offline });
}

/* A response that is right, or a Problem. */
async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key) headers.set('Authorization', `Bearer ${key}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw noAnswer();
  }
  offline(false);
  if (response.status === 401) {
    await askForKey();
    return call(path, options);
  }
  if (!response.ok) throw new Problem((await response.json().catch(() => ({}))).error, response.status);
  return response;
}

/* What a response brings behind its headers; a line that is cut there is as one that never came. */
const whole = (reading) => reading.catch((e) => { throw e.name === 'SyntaxError' ? e : noAnswer(); });
const callJson = async (path, options) => whole((await call(path, options)).json());

/* A seed may have more digits than a JavaScript number holds: it travels as text, and loses its quotes here.  (Inside other strings a quote
 * comes with a backslash, so this finds the field alone.) */
const bodyOf = (ask) => JSON.stringify(ask).replace(/"seed":"(\d+)"/, '"seed":$1');
const post = (path, ask, options) => callJson(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: bodyOf(ask), ...options });

/* Server-sent events, by fetch: EventSource can send no key. */
async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ''; ;) {
    const late = setTimeout(() => reader.cancel(), SILENCE_MAX);
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    clearTimeout(late);
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const event = {};
      for (const line of text.slice(0, end).split('\n')) {
        const [, name, rest] = /^(\w+): ?(.*)$/.exec(line) ?? [];
        if (name) event[name] = rest;
      }
      if (event.data) yield { id: event.id, name: event.event, data: JSON.parse(event.data) };
    }
  }
}

/* All events of a job, to the last, over as many connections as it takes. */
async function follow(id, take) {
  for (let last = null, wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      const response = await call(`api/v1/jobs/${id}/events`, { headers: last ? { 'Last-Event-ID': last } : {} });
      if (response.status === 204) return;
      for await (const event of eventsOf(response)) {
        wait = 500;
        await take(event.name, event.data);
        last = event.id;
        if (event.name === 'done' || event.name === 'error') return;
      }
    } catch (e) {
      if (e.status === 410 && last) last = null;
      else if (e.code !== 'offline' && e.status !== 503 && e.status !== 429) throw e;
    }
    await sleep(wait);
  }
}
