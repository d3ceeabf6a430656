/* form.js - prompt, size, seed and details; from the fields to a request. */

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
