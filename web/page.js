// The page: a prompt, a reference, a picture.
'use strict';
const at = (id) => document.getElementById(id);

async function upload(file) {
  const answer = await fetch('/api/v1/uploads', { method: 'POST', headers: { 'Content-Type': file.type }, body: file });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error.message);
  return body.id;
}

async function make() {
  const ask = { prompt: at('prompt').value, preview_every: 2 };
  if (at('file').files.length) ask.references = [{ task: 'ip', upload: await upload(at('file').files[0]) }];
  const answer = await fetch('/api/v1/jobs', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(ask) });
  const job = await answer.json();
  if (!answer.ok) throw new Error(job.error.message);
  const events = new EventSource('/api/v1/jobs/' + job.id + '/events');
  events.addEventListener('step', (e) => { const s = JSON.parse(e.data); at('state').textContent = s.step + ' / ' + s.steps; });
  events.addEventListener('preview', (e) => { at('picture').src = 'data:image/png;base64,' + JSON.parse(e.data).base64; });
  events.addEventListener('done', () => { events.close(); at('picture').src = '/api/v1/jobs/' + job.id + '/images/0'; at('state').textContent = ''; });
  events.addEventListener('error', (e) => { events.close(); at('state').textContent = e.data ? JSON.parse(e.data).error.message : 'the connection was lost'; });
}

at('ask').addEventListener('submit', (e) => {
  e.preventDefault();
  make().catch((why) => { at('state').textContent = why.message; });
});
