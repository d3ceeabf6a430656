/* job.js - one job at a time: sending, following, stopping, taking up again after a reload. */

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
  let response, blob;
  try {
    response = await call(`api/v1/jobs/${job.id}/images/${n}`);
    blob = await whole(response.blob());
  } catch (e) {
    if (e.code === 'offline') throw e;
    return complain(e);
  }
  const image = await createImageBitmap(blob), sha = response.headers.get('ETag').replaceAll('"', '');
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
