/* stage.js - the place where the picture grows. */

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
