/* history.js - earlier pictures; their list in localStorage. */

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
