/* references.js - cards: a picture given, its task, what the model will see of it. */

let about = null;    /* capabilities */
let arriving = null; /* an example's pictures, on their way */
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
