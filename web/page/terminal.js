/* terminal.js - the same as a command and as curl. */

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
