/* page.js - what the page does: references, a form, one job at a time, its events, and a history.
 *
 * Talks to the server it came from and to nothing else.  Every word stands in WORDS.  Finished pictures and references are kept in this
 * browser (IndexedDB; their list in localStorage), because the server keeps them for a while only. */

/* ---- words ---- */

const WORDS = {
  en: {
    otherLanguage: '中文', otherLanguageLabel: '切换为中文',
    references: 'References', choose: 'Choose pictures', drop: 'or drop or paste them here',
    examples: 'Or begin with an example',
    given: 'yours', seen: 'what the model sees', looking: 'looking…', remove: (name) => `Remove ${name}`, task: (name) => `What ${name} gives`,
    ip: 'Thing', id: 'Person', style: 'Style', pasted: 'pasted',
    prompt: 'Prompt', promptExample: 'a cupcake on a beach by the sea',
    trigger: 'A style reference works when the prompt begins with “generate a same style image.”', insert: 'Put it there',
    size: 'Size', square: 'Square', tall: 'Tall', wide: 'Wide', other: 'Other', width: 'Width in pixels', height: 'Height in pixels',
    seed: 'Seed', random: 'random', details: 'Details', make: 'Make', range: (lo, hi) => `${lo} to ${hi}`,
    about: (time) => `takes about ${time}`, seconds: (n) => `${n} s`, minutes: (n) => `${n} min`,
    picture: 'Picture', empty: 'Your picture grows here.', progress: 'Progress', stop: 'Stop',
    sending: 'Sending…', waiting: (n) => (n ? `Waiting, ${n} before it` : 'Waiting for its turn'), starting: 'Reading the prompt and the references…',
    step: (n, of) => `Step ${n} of ${of}`, several: (n, of) => `Picture ${n} of ${of}`, left: (time) => `about ${time} left`, soon: 'almost there',
    stopping: 'Stopping…', stopped: 'Stopped.', ready: 'Ready.', madeIn: (time) => `Made in ${time}.`, again: 'Going on after the server was restarted…',
    gone: 'The server does not know this job any more.', alt: (prompt) => `Made from: ${prompt}`, growing: (prompt) => `Growing: ${prompt}`,
    facts: (w, h, seed) => `${w} × ${h} · seed ${seed}`, unprompted: 'without a prompt',
    reuse: 'Use these settings', save: 'Save', copyCommand: 'Copy as command', copyCurl: 'Copy as curl', copied: 'Copied', forget: 'Forget',
    past: 'Earlier pictures', lost: (names) => `No longer kept here: ${names}. Add it again.`,
    offline: 'The server does not answer. Trying again…', failed: 'That did not work.',
    keyTitle: 'This server asks for a key', keyLabel: 'Key', keySend: 'Go on', keyWrong: 'This key is not known.',
    noPrompt: 'Say what the picture should show.', notNumber: (what) => `“${what}” is not a number.`, outside: (what, lo, hi) => `${what} is outside ${lo} to ${hi}.`, wait: 'One picture is being made already.',
    tooLarge: (name, most) => `${name}: larger than the server takes (${most} MB).`, tooMany: (n) => `At most ${n} references.`, badCard: (name) => `${name} cannot be used. Remove it first.`,
    fields: {
      negative: 'Not to show', steps: 'Steps', count: 'Pictures', guidance: 'Guidance', first_guidance: 'Guidance, first step', true_cfg: 'True CFG',
      cfg_start: 'True CFG from step', cfg_end: 'True CFG before step', negative_guidance: 'Guidance, negative', ref_seed: 'Seed of references',
    },
    codes: {},
  },
  zh: {
    otherLanguage: 'English', otherLanguageLabel: 'Switch to English',
    references: '参考图', choose: '选择图片', drop: '或拖放、粘贴到此处',
    examples: '或者从示例开始',
    given: '原图', seen: '模型所见', looking: '读取中…', remove: (name) => `移除 ${name}`, task: (name) => `${name} 的用途`,
    ip: '物体', id: '人物', style: '风格', pasted: '粘贴的图片',
    prompt: '描述', promptExample: '请用英语描述，例如 a cupcake on a beach by the sea',
    trigger: '使用风格参考图时，描述应以 “generate a same style image.” 开头。', insert: '添加',
    size: '尺寸', square: '方形', tall: '竖幅', wide: '横幅', other: '其他', width: '宽度（像素）', height: '高度（像素）',
    seed: '种子', random: '随机', details: '更多设置', make: '生成', range: (lo, hi) => `${lo} 至 ${hi}`,
    about: (time) => `约需 ${time}`, seconds: (n) => `${n} 秒`, minutes: (n) => `${n} 分钟`,
    picture: '图片', empty: '图片将在这里逐渐生成。', progress: '进度', stop: '停止',
    sending: '发送中…', waiting: (n) => (n ? `排队中，前面还有 ${n} 个` : '等待开始'), starting: '正在读取描述和参考图…',
    step: (n, of) => `第 ${n} / ${of} 步`, several: (n, of) => `第 ${n} / ${of} 张`, left: (time) => `约剩 ${time}`, soon: '即将完成',
    stopping: '正在停止…', stopped: '已停止。', ready: '已完成。', madeIn: (time) => `用时 ${time}。`, again: '服务器重启后继续…',
    gone: '服务器已没有这个任务。', alt: (prompt) => `根据描述生成：${prompt}`, growing: (prompt) => `正在生成：${prompt}`,
    facts: (w, h, seed) => `${w} × ${h} · 种子 ${seed}`, unprompted: '没有描述',
    reuse: '使用这些设置', save: '保存', copyCommand: '复制为命令', copyCurl: '复制为 curl', copied: '已复制', forget: '删除记录',
    past: '之前的图片', lost: (names) => `此处已不再保存：${names}。请重新添加。`,
    offline: '服务器没有响应，正在重试…', failed: '操作没有成功。',
    keyTitle: '此服务器需要密钥', keyLabel: '密钥', keySend: '继续', keyWrong: '密钥不正确。',
    noPrompt: '请描述图片的内容。', notNumber: (what) => `“${what}” 不是数字。`, outside: (what, lo, hi) => `${what} 不在 ${lo} 至 ${hi} 之间。`, wait: '已有一张图片正在生成。',
    tooLarge: (name, most) => `${name}：超过服务器允许的大小（${most} MB）。`, tooMany: (n) => `最多 ${n} 张参考图。`, badCard: (name) => `${name} 无法使用，请先将其移除。`,
    fields: {
      negative: '不希望出现', steps: '步数', count: '张数', guidance: '引导强度', first_guidance: '首步引导强度', true_cfg: '真实 CFG',
      cfg_start: 'CFG 起始步', cfg_end: 'CFG 结束步', negative_guidance: '负向引导强度', ref_seed: '参考图种子',
    },
    codes: {
      bad_argument: '设置有误', bad_file: '无法读取这个文件', not_found: '没有找到', no_memory: '内存不足', too_large: '超过允许的上限', io: '读写失败', device: '计算设备不可用',
      not_finite: '计算结果无效', no_face: '没有找到人脸', no_subject: '没有找到主体', mismatch: '与当前状态不符', busy: '服务器繁忙', unauthorized: '没有权限', internal: '内部错误',
    },
  },
};

const EXAMPLES = [
  { file: 'cupcake.png', task: 'ip', prompt: 'a cupcake on a beach by the sea' },
  { file: 'camera.png', task: 'ip', prompt: 'a camera on green grass under a blue sky' },
  { file: 'doughnut.png', task: 'ip', prompt: 'a doughnut on a plain blue background' },
];

const TRIGGER = 'generate a same style image.';
const SEED_MAX = 2n ** 63n - 1n;
const HISTORY_MAX = 48;
const THUMB_SIDE = 144;
const SILENCE_MAX = 45000; /* the server says something every 15 s */
const ENLARGE_MAX = 7; /* small pictures get a mat around them rather than pixels like tiles */

const $ = (id) => document.getElementById(id);
const recall = (name, otherwise) => { try { return JSON.parse(localStorage.getItem(`dreamo.${name}`)) ?? otherwise; } catch { return otherwise; } };
const remember = (name, value) => { try { localStorage.setItem(`dreamo.${name}`, JSON.stringify(value)); return true; } catch { return false; } }; /* full, or forbidden */
const forget = (name) => { try { localStorage.removeItem(`dreamo.${name}`); } catch { /* forbidden */ } };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

let language = recall('language', null) ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
let words = WORDS[language];

function translate() {
  words = WORDS[language];
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  const card = $('card').content;
  for (const root of [document, card]) {
    for (const e of root.querySelectorAll('[data-t]')) e.textContent = words[e.dataset.t];
    for (const e of root.querySelectorAll('[data-t-label]')) e.setAttribute('aria-label', words[e.dataset.tLabel]);
    for (const e of root.querySelectorAll('[data-t-placeholder]')) e.placeholder = words[e.dataset.tPlaceholder];
  }
  $('language').textContent = words.otherLanguage;
  $('language').setAttribute('aria-label', words.otherLanguageLabel);
  $('language').lang = language === 'zh' ? 'en' : 'zh-CN';
}

const duration = (s) => (s < 90 ? words.seconds(s < 10 ? Math.max(0.1, s).toFixed(1).replace(/\.0$/, '') : Math.round(s)) : words.minutes(Math.round(s / 60)));
const announce = (text) => { $('live').textContent = text; };

/* ---- the server ---- */

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

/* A response that is right, or a Problem. */
async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key) headers.set('Authorization', `Bearer ${key}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    offline(true);
    throw new Problem({ code: 'offline', message: words.offline });
  }
  offline(false);
  if (response.status === 401) {
    await askForKey();
    return call(path, options);
  }
  if (!response.ok) throw new Problem((await response.json().catch(() => ({}))).error, response.status);
  return response;
}

const callJson = async (path, options) => (await call(path, options)).json();

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

/* ---- pictures kept in this browser ---- */

const pictures = {
  memory: new Map(), /* where IndexedDB is forbidden: until the page is closed */
  open() {
    return this.opened ??= new Promise((done) => {
      try {
        const request = indexedDB.open('dreamo', 1);
        request.onupgradeneeded = () => request.result.createObjectStore('pictures');
        request.onsuccess = () => done(request.result);
        request.onerror = () => done(null);
      } catch { done(null); }
    });
  },
  async run(mode, work) {
    const db = await this.open();
    if (!db) return null;
    return new Promise((done) => {
      const request = work(db.transaction('pictures', mode).objectStore('pictures'));
      request.onsuccess = () => done(request.result);
      request.onerror = () => done(null);
    });
  },
  async put(sha, blob) {
    this.memory.set(sha, blob);
    await this.run('readwrite', (s) => s.put(blob, sha));
  },
  async get(sha) { return this.memory.get(sha) ?? this.run('readonly', (s) => s.get(sha)); },
  async keepOnly(wanted) {
    for (const sha of (await this.run('readonly', (s) => s.getAllKeys())) ?? []) if (!wanted.has(sha)) await this.run('readwrite', (s) => s.delete(sha));
    for (const sha of this.memory.keys()) if (!wanted.has(sha)) this.memory.delete(sha);
  },
};

/* ---- references ---- */

let about = null;    /* capabilities */
let arriving = null; /* an example's picture, on its way */
let references = []; /* { file, name, task, id, seen, problem, busy, checked: Promise, card, url } */

function chips(box, name, rows, chosen, changed) {
  box.replaceChildren(...rows.map(({ value, label, hint }) => {
    const chip = document.createElement('label');
    const input = Object.assign(document.createElement('input'), { type: 'radio', name, value, checked: value === chosen });
    const text = document.createElement('span');
    text.textContent = label;
    if (hint) {
      const fine = document.createElement('small');
      fine.textContent = hint;
      text.append(fine);
    }
    input.addEventListener('change', () => changed(value));
    chip.append(input, text);
    return chip;
  }));
}

let cards = 0;

function drawCard(r) {
  const card = $('card').content.cloneNode(true).firstElementChild;
  const part = (name) => card.querySelector(name);
  part('.name').textContent = r.name;
  part('.given').addEventListener('error', (e) => { e.target.hidden = true; });
  part('.given').src = r.url ??= URL.createObjectURL(r.file);
  part('.remove').setAttribute('aria-label', words.remove(r.name));
  part('legend').textContent = words.task(r.name);
  part('.remove').addEventListener('click', () => {
    const next = r.card.nextElementSibling ?? r.card.previousElementSibling;
    references = references.filter((other) => other !== r);
    URL.revokeObjectURL(r.url);
    r.card.remove();
    (next?.querySelector('.remove') ?? $('files')).focus();
    edited();
  });
  chips(part('.chips'), `task-${++cards}`, ['id', 'ip', 'style'].filter((task) => about.tasks.includes(task)).map((task) => ({ value: task, label: words[task] })), r.task, (task) => {
    r.task = task;
    check(r);
    edited();
  });
  if (r.card?.isConnected) r.card.replaceWith(card);
  else $('cards').append(card);
  r.card = card;
  drawChecked(r);
}

function drawChecked(r) {
  const seen = r.card.querySelector('.seen');
  r.card.classList.toggle('broken', Boolean(r.problem));
  r.card.setAttribute('aria-busy', String(r.busy));
  seen.hidden = !r.seen;
  if (r.seen) seen.src = r.seen.image;
  seen.alt = r.seen ? words.seen : '';
  r.card.querySelector('.seen-caption').textContent = words.seen;
  r.card.querySelector('.note').textContent = r.problem ? r.problem.text() : r.seen ? `${r.seen.width} × ${r.seen.height}` : words.looking;
  r.card.querySelector('.note').title = r.seen?.note ?? '';
  r.card.querySelector('.note').classList.toggle('bad', Boolean(r.problem));
}

/* Send it, and show what the model will see of it.  The newest call wins. */
function check(r) {
  const run = r.run = (r.run ?? 0) + 1;
  const form = new FormData();
  form.append('picture', r.file, r.name);
  Object.assign(r, { problem: null, busy: true });
  drawChecked(r);
  r.checked = callJson(`api/v1/uploads?task=${r.task}`, { method: 'POST', body: form }).then(async (answer) => {
    if (run !== r.run) return;
    r.id = answer.id;
    r.seen = answer.prepared;
    await pictures.put(answer.id, r.file);
  }).catch((e) => {
    if (run !== r.run) return;
    r.id = r.seen = null;
    r.problem = e instanceof Problem ? e : new Problem({ message: String(e) });
    announce(r.problem.text());
  }).finally(() => {
    if (run !== r.run || !references.includes(r)) return;
    r.busy = false;
    drawChecked(r);
    changed();
  });
}

function addReference(file, name, task) {
  const limit = about.limits;
  if (references.length >= limit.references) return complain(new Problem({ message: words.tooMany(limit.references) }), $('drop'));
  const r = { file, name, task, id: null, problem: null, busy: false, card: null };
  references.push(r);
  drawCard(r);
  if (file.size > limit.body_bytes) {
    r.problem = new Problem({ message: words.tooLarge(name, Math.floor(limit.body_bytes / 1e6)) });
    drawChecked(r);
  } else {
    check(r);
  }
  changed();
}

function addFiles(files) {
  clearProblem();
  for (const file of files) addReference(file, file.name || words.pasted, 'ip');
}

/* All have been looked at by the server; the first one that it cannot use holds everything. */
async function allChecked() {
  await arriving;
  await Promise.all(references.map((r) => r.checked));
  const broken = references.findIndex((r) => !r.id);
  if (broken >= 0) throw new Problem({ message: words.badCard(references[broken].name), field: `references[${broken}]` });
}

function clearReferences() {
  for (const r of references) {
    URL.revokeObjectURL(r.url);
    r.card.remove();
  }
  references = [];
}

/* ---- the form ---- */

const own = new Set(['prompt', 'seed', 'size', 'references', 'preview_every']); /* fields with a place of their own on the page */
let shape = 'square';

const roundTo = (n, cell) => Math.max(cell, Math.round(n / cell) * cell);

function shapes() {
  const { width, height } = about.defaults, cell = about.limits.side_multiple_of;
  const area = width * height, small = roundTo(Math.sqrt(area * 3 / 4), cell), large = roundTo(Math.sqrt(area * 4 / 3), cell);
  return { square: [width, height], tall: [small, large], wide: [large, small] };
}

/* [width, height] as text; what stands in the fields, right or wrong. */
const chosenSize = () => (shape === 'other' ? [$('width').value.trim(), $('height').value.trim()] : shapes()[shape].map(String));

function drawSizes() {
  const rows = Object.entries(shapes()).map(([value, [w, h]]) => ({ value, label: words[value], hint: `${w} × ${h}` }));
  chips($('sizes').querySelector('.chips'), 'shape', [...rows, { value: 'other', label: words.other, hint: '…' }], shape, (value) => {
    const before = chosenSize();
    shape = value;
    if (value === 'other' && !$('width').value) [$('width').value, $('height').value] = before;
    $('other-size').hidden = value !== 'other';
    edited();
  });
  $('other-size').hidden = shape !== 'other';
}

function drawFields(values) {
  $('fields').replaceChildren(...about.fields.filter((f) => !own.has(f.name)).map((f) => {
    const box = document.createElement('div'), label = document.createElement('label'), input = document.createElement('input'), help = document.createElement('small');
    label.htmlFor = input.id = `field-${f.name}`;
    label.textContent = words.fields[f.name] ?? f.name;
    help.id = `help-${f.name}`;
    help.textContent = f.kind === 'text' || f.hi === undefined ? '' : words.range(f.lo, f.hi);
    input.setAttribute('aria-describedby', help.id);
    Object.assign(input, { name: f.name, autocomplete: 'off', title: language === 'en' ? f.doc : '', placeholder: about.defaults[f.name] ?? (f.name === 'count' ? 1 : ''), value: values[f.name] ?? '' });
    if (f.kind !== 'text') input.inputMode = 'decimal';
    box.className = f.kind;
    box.append(label, input, help);
    return box;
  }));
}

const fieldValues = () => Object.fromEntries([...$('fields').querySelectorAll('input')].filter((i) => i.value.trim()).map((i) => [i.name, i.value.trim()]));

function number(text, field) {
  if (!/^-?\d+(\.\d+)?$/.test(text)) throw new Problem({ field, message: words.notNumber(text) });
  return Number(text);
}

/* What the form asks for, as the API has it.  References must have been checked. */
function readForm() {
  const ask = { prompt: $('prompt').value.trim() }, seed = $('seed').value.trim(), kinds = Object.fromEntries(about.fields.map((f) => [f.name, f.kind]));
  if (seed) {
    if (!/^\d+$/.test(seed)) throw new Problem({ field: 'seed', message: words.notNumber(seed) });
    if (BigInt(seed) > SEED_MAX) throw new Problem({ field: 'seed', message: words.outside(seed, 0, SEED_MAX) });
    ask.seed = String(BigInt(seed));
  }
  ask.size = chosenSize().join('x');
  for (const [name, text] of Object.entries(fieldValues())) ask[name] = kinds[name] === 'text' ? text : number(text, name);
  if (references.length) ask.references = references.map((r) => ({ task: r.task, upload: r.id, name: r.name }));
  return ask;
}

/* The server forgets uploads after a while; this page does not, and sends them again. */
async function postForm(path, more, options) {
  try {
    return await post(path, { ...readForm(), ...more }, options);
  } catch (e) {
    if (e.status !== 404 || !e.field.startsWith('references')) throw e;
    references.forEach(check);
    await allChecked();
    return post(path, { ...readForm(), ...more }, options);
  }
}

const previewEvery = (ask) => Math.ceil((ask.steps ?? about.defaults.steps) / 40);

/* Where a problem belongs: the field, if the page shows it. */
function placeOf(field) {
  const name = field.split(/[[.]/)[0];
  if (name === 'references') return references[Number(/\d+/.exec(field)?.[0])]?.card ?? $('cards');
  if (name === 'size') return shape === 'other' ? $('width') : $('sizes');
  return $(name) && own.has(name) ? $(name) : $(`field-${name}`);
}

function complain(e, place = null, focus = true) {
  const problem = $('problem'), at = place ?? (e.field ? placeOf(e.field) : null);
  clearProblem();
  if (at) {
    (at.closest('#other-size, #fields > div, #cards') ?? at).after(problem);
    if (at.closest('details')) $('details').open = true;
    if (at.matches('input, textarea')) {
      at.setAttribute('aria-invalid', 'true');
      at.setAttribute('aria-errormessage', 'problem');
      if (focus) at.focus();
    } else if (focus) {
      at.querySelector('.remove, input')?.focus();
    }
  } else {
    $('go').after(problem);
  }
  problem.textContent = e instanceof Problem ? e.text() : `${words.failed} ${e.message ?? e}`;
}

function clearProblem() {
  for (const e of document.querySelectorAll('[aria-invalid]')) {
    e.removeAttribute('aria-invalid');
    e.removeAttribute('aria-errormessage');
  }
  $('problem').textContent = '';
}

/* After every change: remember the draft, show what depends on it, ask what it would cost. */
let planning = null;

function changed() {
  const [w, h] = chosenSize().map(Number);
  remember('draft', { prompt: $('prompt').value, seed: $('seed').value, shape, size: [$('width').value, $('height').value], fields: fieldValues(),
    references: references.filter((r) => r.id).map((r) => ({ task: r.task, upload: r.id, name: r.name })) });
  $('examples').hidden = references.length > 0;
  $('drop').classList.toggle('more', references.length > 0);
  $('drop').hidden = references.length >= about.limits.references;
  $('trigger').hidden = !references.some((r) => r.task === 'style') || $('prompt').value.toLowerCase().startsWith(TRIGGER);
  if (!job && !shown && w > 0 && h > 0) setShape(w, h);
  clearTimeout(planning?.timer);
  planning?.stop.abort();
  planning = { stop: new AbortController(), timer: setTimeout(showPlan, 350) };
}

/* What a person changed: the message about it has done its work. */
function edited() {
  clearProblem();
  changed();
}

async function showPlan() {
  const { signal } = planning.stop;
  let told = '';
  try {
    if (references.every((r) => r.id)) {
      const plan = await postForm('api/v1/plan', {}, { signal });
      if (plan.seconds !== null) told = words.about(duration(plan.seconds * ($('field-count').value || 1)));
    }
  } catch (e) {
    if (e.name === 'AbortError') return;
    const at = e.field && placeOf(e.field);
    if (at && at !== document.activeElement) complain(e, at, false); /* what would be refused is told before it is asked for, but not while it is typed */
  }
  $('plan').textContent = told;
}

/* ---- the stage ---- */

let shown = null; /* the history's entry on the stage */
let frames = 0;

function setShape(w, h) {
  $('sheet').style.setProperty('--ratio', w / h);
  $('sheet').style.setProperty('--most', `${ENLARGE_MAX * w}px`);
}

/* Swapped when it has been decoded, so that nothing flashes; an older one never follows a newer. */
async function showPicture(src, alt) {
  const frame = ++frames, image = new Image();
  image.src = src;
  try { await image.decode(); } catch { return; }
  if (frame !== frames) return;
  const before = $('picture').src;
  Object.assign($('picture'), { src, alt, hidden: false });
  if (before.startsWith('blob:') && before !== src) URL.revokeObjectURL(before);
  $('empty').hidden = true;
  $('sheet').classList.remove('blank');
}

function clearPicture() {
  frames++;
  $('picture').hidden = true;
  $('picture').removeAttribute('src');
  $('empty').hidden = false;
  $('sheet').classList.add('blank');
}

function setStatus(text, share = null) {
  $('status').textContent = text;
  $('bar').value = share ?? 0;
  document.title = share ? `${Math.round(100 * share)} % · dreamo` : 'dreamo';
  $('bar').classList.toggle('idle', share === null);
}

function describe(ask, facts) {
  $('caption').textContent = ask ? ask.prompt || words.unprompted : '';
  $('facts').textContent = facts;
}

function show(entry) {
  shown = entry;
  setShape(entry.width, entry.height);
  describe(entry.ask, words.facts(entry.width, entry.height, entry.ask.seed));
  $('actions').hidden = false;
  $('save').download = `dreamo-${entry.ask.seed}.png`;
  pictures.get(entry.sha).then((blob) => {
    if (shown !== entry) return;
    $('save').href = blob ? URL.createObjectURL(blob) : entry.thumb;
    return showPicture($('save').href, words.alt(entry.ask.prompt));
  });
  drawHistory();
}

/* ---- a job ---- */

let job = null; /* { id, ask, began, step, steps, picture, deadline, told, taken, stopping } */

function tick() {
  if (!job || !job.steps) return;
  const left = (job.deadline - performance.now()) / 1000, of = job.ask.count ?? 1;
  const parts = [...(of > 1 ? [words.several(job.picture + 1, of)] : []), words.step(job.step, job.steps)];
  if (job.deadline) parts.push(left < 0.8 ? words.soon : words.left(duration(Math.ceil(left))));
  setStatus(job.stopping ? words.stopping : parts.join(' · '), (job.picture + job.step / job.steps) / of);
}

function onStep(e) {
  Object.assign(job, { step: e.step, steps: e.steps, picture: e.picture });
  if (e.seconds_left !== null && e.seconds_left >= 0) job.deadline = performance.now() + 1000 * e.seconds_left;
  tick();
  const quarter = Math.floor(4 * e.step / e.steps);
  if (quarter > job.told && quarter < 4) announce($('status').textContent);
  job.told = quarter;
}

/* Picture n is ready: keep it, and show it; one that others follow only until the next begins to grow. */
async function takePicture(n) {
  let response;
  try {
    response = await call(`api/v1/jobs/${job.id}/images/${n}`);
  } catch (e) {
    if (e.code === 'offline') throw e;
    return complain(e);
  }
  const blob = await response.blob(), image = await createImageBitmap(blob), sha = response.headers.get('ETag').replaceAll('"', '');
  const seed = String((BigInt(job.ask.seed) + BigInt(n)) & SEED_MAX), { count, preview_every: every, ...ask } = job.ask;
  const entry = { job: job.id, n, sha, width: image.width, height: image.height, ask: { ...ask, seed }, thumb: thumbnail(image) };
  await pictures.put(sha, blob);
  entries = [entry, ...recall('history', entries).filter((other) => !same(other, entry))]; /* another tab may have added some */
  job.taken.add(n);
  keepHistory();
  if (n + 1 >= (count ?? 1)) return show(entry);
  showPicture(URL.createObjectURL(blob), words.alt(ask.prompt));
  drawHistory();
}

/* The stage belongs to the job from here on, until it ends. */
function begin(started) {
  const [w, h] = started.ask.size.split('x').map(Number);
  job = { step: 0, steps: 0, picture: 0, told: 0, deadline: 0, taken: new Set(), ...started };
  shown = null;
  remember('job', { id: job.id, ask: job.ask, began: job.began });
  setShape(w, h);
  describe(job.ask, words.facts(w, h, job.ask.seed));
  $('actions').hidden = true;
  $('stop').hidden = false;
  $('make').setAttribute('aria-disabled', 'true');
  drawHistory();
}

function end(text) {
  const held = document.activeElement === $('stop');
  job = null;
  forget('job');
  $('stop').hidden = true;
  $('make').removeAttribute('aria-disabled');
  if (held) $('stage').querySelector('figure').focus();
  setStatus(text);
  announce(text);
}

async function run() {
  const take = {
    queued: (e) => setStatus(words.waiting(e.position ?? 0), 0),
    start: (e) => setStatus(e.try > 1 ? words.again : words.starting, 0),
    step: onStep,
    preview: (e) => { showPicture(`data:${e.type};base64,${e.base64}`, words.growing(job.ask.prompt)); },
    image: (e) => takePicture(e.picture),
    done: async (e) => {
      for (let n = 0; n < e.images; n++) if (!job.taken.has(n)) await takePicture(n); /* made while nobody listened */
      end(`${words.ready} ${job.began ? words.madeIn(duration((Date.now() - job.began) / 1000)) : ''}`.trim());
    },
    error: (e) => {
      const cancelled = e.state === 'cancelled';
      end(cancelled ? words.stopped : '');
      if (!cancelled) complain(new Problem(e.error));
    },
  };
  try {
    await follow(job.id, async (name, data) => take[name]?.(data));
    if (job) end(words.ready);
  } catch (e) {
    end('');
    complain(e.status === 404 || e.status === 410 ? new Problem({ message: words.gone }) : e);
  }
}

async function make() {
  if (job || make.busy) return complain(new Problem({ message: words.wait }), $('go'));
  clearProblem();
  if (!$('prompt').value.trim()) return complain(new Problem({ message: words.noPrompt }), $('prompt'));
  make.busy = true;
  setStatus(words.sending, 0);
  try {
    await allChecked();
    const began = Date.now(), ask = readForm(), ticket = await postForm('api/v1/jobs', { preview_every: previewEvery(ask) });
    clearPicture();
    begin({ id: ticket.id, ask: { ...ask, seed: ask.seed ?? String(ticket.seed) }, began });
    setStatus(words.waiting(ticket.position), 0);
    announce(words.starting);
    if ($('stage').getBoundingClientRect().top > innerHeight / 2) $('stage').scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
    run();
  } catch (e) {
    setStatus('');
    complain(e);
  } finally {
    make.busy = false;
  }
}

async function stop() {
  if (!job || job.stopping) return;
  job.stopping = true;
  setStatus(words.stopping, $('bar').value);
  try {
    await call(`api/v1/jobs/${job.id}`, { method: 'DELETE' }); /* its last event ends it here */
  } catch (e) {
    if (job) job.stopping = false;
    if (e.status !== 409) complain(e); /* 409: it has just ended by itself */
  }
}

/* ---- history ---- */

let entries = recall('history', []);

const same = (a, b) => a?.job === b?.job && a?.n === b?.n;

function thumbnail(image) {
  const scale = Math.min(1, THUMB_SIDE / Math.max(image.width, image.height));
  const canvas = Object.assign(document.createElement('canvas'), { width: Math.ceil(image.width * scale), height: Math.ceil(image.height * scale) });
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/webp', 0.85);
}

function keepHistory() {
  entries = entries.slice(0, HISTORY_MAX);
  while (!remember('history', entries) && entries.length > 1) entries.pop(); /* no more room: the oldest go */
  const wanted = new Set();
  for (const { sha, ask } of [...entries, { ask: { references: references.map((r) => ({ upload: r.id })) } }]) {
    wanted.add(sha);
    for (const r of ask.references ?? []) wanted.add(r.upload);
  }
  pictures.keepOnly(wanted);
}

function drawHistory() {
  $('past').hidden = entries.length === 0;
  $('history').replaceChildren(...entries.map((entry) => {
    const item = document.createElement('li'), button = document.createElement('button'), image = new Image();
    Object.assign(image, { src: entry.thumb, alt: entry.ask.prompt || words.unprompted, width: entry.width, height: entry.height });
    button.type = 'button';
    button.title = entry.ask.prompt;
    button.append(image);
    if (same(entry, shown)) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => {
      if (job) return complain(new Problem({ message: words.wait }), $('past-title'));
      setStatus('');
      show(entry);
      $('history').children[entries.indexOf(entry)].firstChild.focus();
    });
    item.append(button);
    return item;
  }));
}

async function useSettings({ ask }) {
  clearProblem();
  const lost = [], [w, h] = ask.size.split('x');
  const known = Object.entries(shapes()).find(([, size]) => size.join('x') === ask.size);
  $('prompt').value = ask.prompt;
  $('seed').value = ask.seed;
  shape = known ? known[0] : 'other';
  [$('width').value, $('height').value] = known ? ['', ''] : [w, h];
  drawSizes();
  drawFields(ask);
  clearReferences();
  for (const r of ask.references ?? []) {
    const file = await pictures.get(r.upload);
    if (file) addReference(file, r.name, r.task);
    else lost.push(r.name);
  }
  changed();
  if (lost.length) complain(new Problem({ message: words.lost(lost.join(', ')) }), $('drop'));
  $('prompt').focus();
}

/* ---- the same from a terminal ---- */

const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function asCommand({ ask }) {
  const options = { negative: '--negative', steps: '--steps', guidance: '--guidance', first_guidance: '--first-guidance', true_cfg: '--true-cfg', negative_guidance: '--negative-guidance', ref_seed: '--ref-noise' };
  const line = ['dreamo', 'generate', ...(ask.prompt.startsWith('-') ? [] : [quote(ask.prompt)])];
  for (const r of ask.references ?? []) line.push('-r', quote(`${r.task}=${r.name}`));
  line.push('-s', ask.size, '--seed', ask.seed);
  for (const [name, option] of Object.entries(options)) if (ask[name] !== undefined) line.push(`${option}=${quote(String(ask[name]))}`);
  if (ask.cfg_start !== undefined || ask.cfg_end !== undefined) line.push('--cfg-steps', `${ask.cfg_start ?? 0}..${ask.cfg_end ?? ask.steps ?? about.defaults.steps}`);
  if (ask.prompt.startsWith('-')) line.push('--', quote(ask.prompt));
  return line.join(' ');
}

function asCurl({ ask }) {
  const { references: list = [], ...fields } = ask;
  const line = ['curl', quote(new URL('api/v1/jobs', location.href).href)];
  if (key) line.push('-H', '"Authorization: Bearer $DREAMO_KEY"');
  for (const [name, value] of Object.entries(fields)) line.push('--form-string', quote(`${name}=${value}`));
  for (const r of list) line.push('-F', quote(`${r.task}=@"${r.name.replace(/["\\]/g, '\\$&')}"`));
  return line.join(' ');
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { /* only https and this machine have a clipboard */
    const area = Object.assign(document.createElement('textarea'), { value: text, className: 'unseen' });
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  const label = words[button.dataset.t];
  button.style.minWidth = `${button.offsetWidth}px`;
  button.textContent = words.copied;
  announce(words.copied);
  await sleep(1600);
  button.textContent = label;
}

/* ---- examples ---- */

function drawExamples() {
  $('examples').querySelector('ul').replaceChildren(...EXAMPLES.map((example) => {
    const item = document.createElement('li'), button = document.createElement('button'), image = new Image(), text = document.createElement('span');
    Object.assign(image, { src: `examples/${example.file}`, alt: '', width: 96, height: 96 });
    text.textContent = example.prompt;
    text.lang = 'en';
    button.type = 'button';
    button.append(image, text);
    button.addEventListener('click', () => {
      $('prompt').value = example.prompt;
      $('make').focus();
      arriving = call(`examples/${example.file}`).then((answer) => answer.blob()).then((file) => addReference(file, example.file, example.task)).catch(complain);
    });
    item.append(button);
    return item;
  }));
}

/* ---- the whole ---- */

function draw() {
  const values = $('fields').children.length ? fieldValues() : recall('draft', {}).fields ?? {};
  translate();
  $('model').textContent = about.model.name;
  $('model').title = `${about.model.name}, ${about.model.backend}`;
  $('prompt').placeholder = words.promptExample;
  drawSizes();
  drawFields(values);
  drawExamples();
  references.forEach(drawCard);
  if (shown) show(shown);
  else drawHistory();
  if (job) tick();
  else setStatus('');
}

function listen() {
  const files = (list) => [...(list ?? [])];
  $('compose').addEventListener('submit', (e) => { e.preventDefault(); make(); });
  $('compose').addEventListener('input', edited);
  $('compose').addEventListener('change', changed);
  $('prompt').addEventListener('keydown', (e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) make(); });
  $('files').addEventListener('change', () => { addFiles(files($('files').files)); $('files').value = ''; });
  $('trigger').querySelector('button').addEventListener('click', () => { $('prompt').value = `${TRIGGER} ${$('prompt').value}`.trim(); $('prompt').focus(); edited(); });
  const holdsFiles = (data) => data?.types.includes('Files');
  document.addEventListener('dragover', (e) => { if (holdsFiles(e.dataTransfer)) { e.preventDefault(); document.body.classList.add('dragging'); } });
  document.addEventListener('dragleave', (e) => { if (!e.relatedTarget) document.body.classList.remove('dragging'); });
  document.addEventListener('drop', (e) => { if (holdsFiles(e.dataTransfer)) { e.preventDefault(); document.body.classList.remove('dragging'); addFiles(files(e.dataTransfer.files)); } });
  document.addEventListener('paste', (e) => { /* text from an office program comes with a picture of itself */
    if (holdsFiles(e.clipboardData) && !e.clipboardData.types.includes('text/plain')) { e.preventDefault(); addFiles(files(e.clipboardData.files)); }
  });
  $('stop').addEventListener('click', stop);
  $('reuse').addEventListener('click', () => useSettings(shown));
  $('copy-command').addEventListener('click', () => copy($('copy-command'), asCommand(shown)));
  $('copy-curl').addEventListener('click', () => copy($('copy-curl'), asCurl(shown)));
  $('forget').addEventListener('click', () => {
    entries = recall('history', entries).filter((entry) => !same(entry, shown));
    shown = null;
    keepHistory();
    clearPicture();
    describe(null, '');
    $('actions').hidden = true;
    drawHistory();
    $('stage').querySelector('figure').focus();
  });
  $('language').addEventListener('click', () => { language = language === 'zh' ? 'en' : 'zh'; remember('language', language); draw(); edited(); });
  setInterval(tick, 500);
}

async function loadAbout() {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try { return await callJson('api/v1/capabilities'); } catch (e) { if (e.code !== 'offline') complain(e); }
    await sleep(wait);
  }
}

async function start() {
  translate();
  about = await loadAbout();
  const draft = recall('draft', {}), running = recall('job', null);
  $('prompt').value = draft.prompt ?? '';
  $('seed').value = draft.seed ?? '';
  shape = draft.shape ?? 'square';
  [$('width').value, $('height').value] = draft.size ?? ['', ''];
  draw();
  listen();
  if (about.limits.references === 0) $('references').hidden = true;
  for (const r of draft.references ?? []) {
    const file = await pictures.get(r.upload);
    if (file) addReference(file, r.name, r.task);
  }
  changed();
  document.body.classList.add('ready');
  if (!running) return;
  begin(running);
  setStatus(words.waiting(0), 0);
  run();
}

start();
