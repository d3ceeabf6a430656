/* words.js - every word of the page in both languages, and small things that all parts use. */

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
  { references: [['ip', 'cupcake.png']], prompt: 'a cupcake on a beach by the sea' },
  { references: [['ip', 'shirt.png']], prompt: 'a man wearing a t-shirt, in a library full of books' },
  { references: [['id', 'woman.png']], prompt: 'a woman smiling, in front of snowy mountains' },
  { references: [['ip', 'cupcake.png'], ['ip', 'camera.png']], prompt: 'a cupcake to the left of a camera, on green grass under a blue sky' },
  { references: [['style', 'blueprint.png']], prompt: 'generate a same style image. a cupcake on a wooden table' },
  { references: [['id', 'woman.png'], ['style', 'blueprint.png']], prompt: 'generate a same style image. a woman, in a city at night' },
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
