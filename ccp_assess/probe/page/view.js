'use strict';
// The page itself: reads the plan it was made with, runs the measurement, shows it and saves it.

const plan = JSON.parse(document.getElementById('plan').textContent);
const world = {
  RTCPeerConnection: window.RTCPeerConnection,
  WebSocket: window.WebSocket,
  AbortController: window.AbortController,
  fetch: window.fetch.bind(window),
  setTimeout: window.setTimeout.bind(window),
  clearTimeout: window.clearTimeout.bind(window),
  now: () => performance.now(),
};
const state = { id: null, started: null, found: [], running: false, stopped: false, microphone: null, facts: {} };
const MARKS = { good: '✓', warn: '!', bad: '✕', unknown: '?' };
const LEVELS = ['good', 'warn', 'bad', 'unknown'];
const WORDS = {
  challenged: 'answered', granted: 'answered', binding_only: 'STUN answered, TURN did not', error: 'answered with an error',
  no_answer: 'no answer', refused: 'refused', name_not_found: 'name not found', not_sent: 'not sent', not_tested: 'not tested',
  reached: 'reached', failed: 'failed', opened: 'opened',
};

const at = (id) => document.getElementById(id);

/** Make an element; text is set as text, never as markup. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

const shown = (ms) => (ms === null ? '–' : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);

// ---------------------------------------------------------------- the result

function levelOf(verdicts) {
  const levels = verdicts.map((verdict) => plan.verdicts[verdict].level);
  return ['bad', 'unknown', 'warn'].find((level) => levels.includes(level)) || 'good';
}

const planned = (row) => plan.regions.find((one) => one.region_code === row.region_code);

function card(row, longest) {
  const title = make('span', {}, planned(row).name, ' ', make('small', {}, row.region_code || ''));
  const id = `region-${row.region_code || 'none'}`;
  if (!row.verdicts.length) {
    return make('li', { class: 'region unknown', id }, make('h3', {}, title, make('span', { class: 'time' }, state.running ? 'testing …' : '')));
  }
  const time = timeToAnswer(row);
  const level = levelOf(row.verdicts);
  const label = time.ms === null ? '' : shown(time.ms);
  const item = make('li', { class: `region ${level}`, id });
  item.append(make('h3', {}, title, make('span', { class: 'time' }, label, time.via === 'https' ? make('small', {}, ' by HTTPS') : null)));
  if (time.ms !== null) {
    const fill = make('i', {});
    fill.style.setProperty('width', `${Math.max(2, (100 * time.ms) / longest)}%`);
    item.append(make('div', { class: 'bar', 'aria-hidden': 'true' }, fill));
  }
  for (const verdict of row.verdicts) {
    const told = plan.verdicts[verdict];
    item.append(make('p', { class: `verdict ${told.level}` }, make('span', { class: 'mark', 'aria-hidden': 'true' }, MARKS[told.level]), told.title));
    item.append(make('p', {}, told.text));
    if (told.change) item.append(change(told.change, row));
  }
  item.append(details(row));
  return item;
}

/** What to change; the relays that the sentence speaks of stand below it, easy to copy. */
function change(text, row) {
  const names = text.includes('{relays}') ? row.relays.map((relay) => make('li', {}, relay.host)) : [];
  const list = names.length ? make('ul', {}, ...names) : null;
  return make('div', { class: 'change' }, text.replace('{relays}', names.length > 1 ? 'these names' : 'this name'), list);
}

function details(row) {
  const list = make('ul', {});
  for (const relay of row.relays) {
    const times = relay.binding_ms.filter((ms) => ms !== null).map(shown).join(', ');
    const code = relay.error_code === null || relay.udp !== 'error' ? '' : ` ${relay.error_code}`;
    const trips = times ? `; round trips ${times}` : '';
    list.append(make('li', {}, `${relay.host}: UDP ${relay.port} ${WORDS[relay.udp]}${code}, TCP ${relay.port} ${WORDS[relay.tcp]}${trips}`));
  }
  for (const site of row.web) {
    const times = site.first_ms === null ? '' : `, first ${shown(site.first_ms)}, new connection ${shown(site.new_ms)}, then ${site.again_ms.map(shown).join(', ')}${site.kept_open ? '' : ' (each a new connection)'}`;
    const socket = site.websocket === 'not_tested' ? '' : `; WebSocket ${WORDS[site.websocket]}${site.websocket_ms === null ? '' : ` ${shown(site.websocket_ms)}`}`;
    list.append(make('li', {}, `https://${site.host}: ${WORDS[site.outcome]}${times}${socket}`));
  }
  return make('details', {}, make('summary', {}, 'What was seen'), list);
}

/** Best first: by what works, then by time to answer. */
function ordered(rows) {
  const rank = (row) => (row.region_code === null || !row.verdicts.length ? LEVELS.length : LEVELS.indexOf(levelOf(row.verdicts)));
  const ms = (row) => timeToAnswer(row).ms ?? Infinity;
  return [...rows].sort((a, b) => rank(a) - rank(b) || ms(a) - ms(b) || planned(a).name.localeCompare(planned(b).name));
}

function show() {
  const rows = state.running ? state.found : ordered(state.found);
  const longest = Math.max(1, ...rows.map((row) => (row.verdicts.length ? timeToAnswer(row).ms || 0 : 0)));
  const open = new Set([...document.querySelectorAll('#regions details[open]')].map((one) => one.parentElement.id));
  at('regions').replaceChildren(...rows.map((row) => card(row, longest)));
  for (const id of open) at(id)?.querySelector('details')?.setAttribute('open', '');
}

function summarise() {
  const regions = state.found.filter((row) => row.region_code !== null);
  const all = regions.length;
  const open = ordered(regions).filter((row) => row.verdicts[0] === 'audio_open' && ['good', 'warn'].includes(levelOf(row.verdicts)));
  if (!open.length) {
    const worst = (all ? regions : state.found).map((row) => row.verdicts.find((verdict) => plan.verdicts[verdict].level === levelOf(row.verdicts)));
    const same = worst.every((verdict) => verdict === worst[0]);
    if (same) return `${plan.verdicts[worst[0]].title}${all > 1 ? ` (all ${all} Regions)` : ''}.`;
    return `None of ${all} Regions is ready for calls from here.`;
  }
  const fastest = open.find((row) => timeToAnswer(row).ms !== null);
  const name = fastest && planned(fastest).name;
  const quick = fastest ? ` ${all > 1 ? 'Fastest: ' : ''}${name}, ${shown(timeToAnswer(fastest).ms)}.` : '';
  return `${open.length} of ${all} ${all === 1 ? 'Region' : 'Regions'} ${open.length === 1 ? 'is' : 'are'} ready for calls from here.${quick}`;
}

async function start() {
  if (!world.RTCPeerConnection) {
    at('status').textContent = 'This browser offers no WebRTC (or it is switched off): calls do not work in it, and nothing was tested.';
    return;
  }
  state.running = true;
  state.stopped = false;
  state.id = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  state.started = new Date().toISOString();
  state.found = plan.regions.map((region) => ({ region_code: region.region_code, relays: [], web: [], verdicts: [] }));
  at('start').disabled = true;
  at('stop').hidden = false;
  at('progress').hidden = false;
  at('summary').textContent = 'Testing …';
  show();
  const report = (row, done, total) => {
    state.found = state.found.map((one) => (one.region_code === row.region_code ? row : one));
    at('progress').max = total;
    at('progress').value = done;
    const judged = state.found.filter((one) => one.verdicts.length).length;
    if (!state.stopped) at('status').textContent = judged < plan.regions.length ? `${judged} of ${plan.regions.length} Regions judged …` : 'Taking round trips …';
    if (row.verdicts.length) show();
  };
  state.found = await measure(world, plan.regions, report, () => state.stopped);
  state.running = false;
  at('start').disabled = false;
  at('start').textContent = 'Test again';
  at('stop').hidden = true;
  at('progress').hidden = true;
  at('status').textContent = state.stopped ? 'Stopped; what was measured is kept.' : 'Done. Please save the result below.';
  at('summary').textContent = summarise();
  at('save').disabled = false;
  show();
  at('result').focus({ preventScroll: true });
}

// ---------------------------------------------------------------- browser, computer, microphone

async function readFacts() {
  const facts = {
    user_agent: navigator.userAgent,
    platform: navigator.platform || null,
    cores: navigator.hardwareConcurrency || null,
    memory_gb_at_least: navigator.deviceMemory || null,
    connection: null,
    screen: `${screen.width}×${screen.height}`,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || null,
  };
  const link = navigator.connection;
  if (link) facts.connection = { type: link.type || null, effective_type: link.effectiveType || null, rtt_ms: link.rtt ?? null, downlink_mbps: link.downlink ?? null };
  const agent = navigator.userAgentData;
  if (agent) {
    facts.brands = agent.brands.map((one) => `${one.brand} ${one.version}`);
    const more = await agent.getHighEntropyValues(['architecture', 'bitness', 'platformVersion', 'fullVersionList', 'model']).catch(() => ({}));
    facts.platform = agent.platform || facts.platform;
    facts.platform_version = more.platformVersion || null;
    facts.architecture = more.architecture ? `${more.architecture} ${more.bitness || ''}`.trim() : null;
    if (more.fullVersionList) facts.brands = more.fullVersionList.map((one) => `${one.brand} ${one.version}`);
  }
  return facts;
}

function showFacts() {
  const names = { user_agent: 'Browser', brands: 'Brands', platform: 'System', platform_version: 'System version', architecture: 'Processor', cores: 'Cores', memory_gb_at_least: 'Memory (GB, at least)', connection: 'Connection as the browser guesses it', screen: 'Screen', time_zone: 'Time zone' };
  const text = (value) => (Array.isArray(value) ? value.join(', ') : typeof value === 'object' ? Object.entries(value).filter(([, one]) => one !== null).map(([key, one]) => `${key} ${one}`).join(', ') : String(value));
  const known = Object.entries(state.facts).filter(([, value]) => value !== null);
  at('facts').replaceChildren(...known.flatMap(([key, value]) => [make('dt', {}, names[key] || key), make('dd', {}, text(value))]));
}

async function checkMicrophone() {
  const media = navigator.mediaDevices;
  if (!media) {
    at('heard').textContent = 'This browser gives no page of this kind access to microphones.';
    return;
  }
  at('microphone').disabled = true;
  at('heard').textContent = 'Listening …';
  let stream = null;
  try {
    stream = await media.getUserMedia({ audio: true });
    const track = stream.getAudioTracks()[0];
    const settings = track.getSettings();
    const peak = await loudest(stream).catch(() => null);
    const devices = await media.enumerateDevices();
    state.microphone = {
      outcome: 'opened',
      label: track.label || null,
      sample_rate_hz: settings.sampleRate ?? null,
      channels: settings.channelCount ?? null,
      echo_cancellation: settings.echoCancellation ?? null,
      peak_level: peak === null ? null : Math.round(peak * 1000) / 1000,
      inputs: devices.filter((one) => one.kind === 'audioinput').length,
      outputs: devices.filter((one) => one.kind === 'audiooutput').length,
    };
    const rate = settings.sampleRate;
    const told = rate ? `${rate / 1000} kHz${rate < 48000 ? ', which is less than the 48 kHz that calls need' : ''}` : 'sample rate not told by this browser';
    const sound = peak === null ? 'how loud it is could not be read' : peak > 0.01 ? 'sound was heard' : 'nothing was heard: it may be muted';
    at('heard').textContent = `${track.label || 'Microphone'}: ${told}; ${sound}.`;
  } catch (error) {
    state.microphone = { outcome: error.name === 'NotAllowedError' ? 'not_allowed' : 'failed', error: String(error.name) };
    at('heard').textContent = error.name === 'NotAllowedError' ? 'The browser or you did not allow the microphone; calls would be silent.' : `No microphone could be opened (${error.name}).`;
  } finally {
    stream?.getTracks().forEach((track) => track.stop());
    at('microphone').disabled = false;
  }
}

/** Listen for three seconds; give the loudest sample. */
async function loudest(stream) {
  const audio = new AudioContext();
  try {
    const listener = audio.createAnalyser();
    audio.createMediaStreamSource(stream).connect(listener);
    const samples = new Float32Array(listener.fftSize);
    let peak = 0;
    for (const end = performance.now() + 3000; performance.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
      listener.getFloatTimeDomainData(samples);
      for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    }
    return peak;
  } finally {
    audio.close();
  }
}

// ---------------------------------------------------------------- the way there, and the file

const onWindows = /Windows/.test(navigator.userAgent);

function showCommand() {
  const host = at('target').value;
  at('command').textContent = onWindows ? `tracert -d -w 1000 ${host}` : `traceroute -n -q 3 -w 2 ${host}`;
}

async function copyCommand() {
  const line = at('command').textContent;
  try {
    await navigator.clipboard.writeText(line);
    at('copied').textContent = 'Copied.';
  } catch {
    const range = document.createRange();
    range.selectNodeContents(at('command'));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    at('copied').textContent = 'Marked: copy it with the keyboard.';
  }
}

function resultDocument() {
  const trace = at('trace').value.slice(0, 500000).trim();
  return {
    format: plan.format,
    id: state.id,
    site_id: at('site').value.trim() || null,
    time: state.started,
    saved: new Date().toISOString(),
    page: { version: plan.version, made: plan.made },
    browser: state.facts,
    microphone: state.microphone,
    complete: !state.stopped,
    regions: state.found,
    traces: trace ? [trace] : [],
  };
}

/** Sign a text as `ccp_assess.probe.signed` does; browsers do so for pages from the disk and from HTTPS only. */
async function signed(text) {
  const { format, key_id, key } = plan.signing;
  const bytes = Uint8Array.from(key.match(/../g), (pair) => parseInt(pair, 16));
  const secret = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', secret, new TextEncoder().encode(text)));
  const hmac_sha256 = [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return JSON.stringify({ format, key_id, payload: text, hmac_sha256 });
}

async function save() {
  const plain = JSON.stringify(resultDocument(), null, 1);
  const signs = plan.signing && crypto.subtle;
  const text = signs ? await signed(plain) : plain;
  const stamp = new Date().toISOString().replace(/[-:]/g, '').slice(0, 15);
  const site = at('site').value.trim().replace(/[^\p{L}\p{N}._-]+/gu, '-') || 'site';
  const link = make('a', { download: `${site}__probe-page__${stamp}.json` });
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  const unsigned = plan.signing && !signs ? ' It could not be signed: open the page from the disk instead.' : '';
  at('saved').textContent = `Saved as ${link.download}, where your browser keeps downloads.${unsigned}`;
}

async function prepare() {
  at('site').value = plan.site_id || '';
  at('terminal').textContent = onWindows ? 'press the Windows key, type cmd, press Enter' : 'the Terminal';
  const relays = plan.regions.flatMap((region) => region.relays.map((relay) => [region, relay]));
  const targets = relays.length ? relays : plan.regions.flatMap((region) => region.web.map((site) => [region, site]));
  at('target').replaceChildren(...targets.map(([region, one]) => make('option', { value: one.host }, `${region.name}: ${one.host}`)));
  const hosts = [...new Set(plan.regions.flatMap((region) => [...region.relays, ...region.web].map((one) => `${one.host}:${one.port}`)))];
  at('hosts').replaceChildren(...hosts.map((host) => make('li', {}, host)));
  showCommand();
  at('target').addEventListener('change', showCommand);
  at('copy').addEventListener('click', copyCommand);
  at('start').addEventListener('click', start);
  at('stop').addEventListener('click', () => {
    state.stopped = true;
    at('status').textContent = 'Stopping: what was asked already has ten seconds at most to be answered …';
  });
  at('microphone').addEventListener('click', checkMicrophone);
  at('save').addEventListener('click', save);
  state.facts = await readFacts();
  showFacts();
}

prepare();
