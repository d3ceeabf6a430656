/* page.js - the whole: examples, and what is bound to what when the page opens.
 *
 * The page is one script: the parts in the order of embed.cmake, one after the other, so that they see each other's names; this is the last of them.
 * It talks to the server it came from and to nothing else. */

/* ---- examples ---- */

function drawExamples() {
  $('examples').querySelector('ul').replaceChildren(...EXAMPLES.map((example) => {
    const item = document.createElement('li'), button = document.createElement('button'), pictures = document.createElement('span'), text = document.createElement('span');
    pictures.className = 'pictures';
    pictures.append(...example.references.map(([, file]) => Object.assign(new Image(), { src: `examples/${file}`, alt: '', width: 96, height: 96 })));
    text.textContent = example.prompt;
    text.lang = 'en';
    button.type = 'button';
    button.append(pictures, text);
    button.addEventListener('click', () => {
      $('prompt').value = example.prompt;
      $('make').focus();
      arriving = Promise.all(example.references.map(([, file]) => call(`examples/${file}`).then((answer) => whole(answer.blob()))))
        .then((blobs) => blobs.forEach((blob, i) => addReference(blob, example.references[i][1], example.references[i][0]))).catch(complain);
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
