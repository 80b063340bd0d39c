'use strict';
// What the page measures and how it judges it. Nothing here knows the document that shows it, so that it can be
// tested without a browser. What each outcome looks like was proved in real browsers; see docs/probe-page.md.

const ANSWER_WITHIN_MS = 10000; // Chromium gives up a silent relay after 40 s, Firefox after 11 s; a softphone after 8 s
const ROUND_WITHIN_MS = 3000;
const WEB_WITHIN_MS = 8000;
const ROUNDS = 5;
const AT_ONCE = 3;
const WARM_ROUNDS = 5;
const KEPT_SHARE = 0.6; // a new connection takes three round trips (TCP, TLS 1.3, HTTP), a kept one takes one
const MOST_EVENTS = 40;
const NO_ANSWER = 701; // what browsers report where no server answered, whatever the reason (WebRTC, section 4.8.2)
const WANTS_CREDENTIALS = [401, 438]; // RFC 8489, section 14.8: unauthenticated, stale nonce

// ---------------------------------------------------------------- reading what the browser reports

/** Tell the family of the socket that an error speaks of: browsers ask by IPv4 and by IPv6, each with its own errors. */
function familyOf(address) {
  if (!address) return null;
  return address.startsWith('[') || address.split(':').length > 2 ? 6 : 4;
}

function typeOf(candidate) {
  const found = / typ (\w+)/.exec(candidate);
  return found ? found[1] : null;
}

/** Read what the relay made of a call's request (TURN Allocate). */
function readAllocate(events, transport) {
  if (events.some((event) => event.type === 'relay')) return { outcome: 'granted', code: null, at_ms: null };
  // A browser whose policy forbids UDP ends at once, without a candidate of its own and without an error.
  if (transport === 'udp' && events.length && events.every((event) => event.kind === 'complete')) return { outcome: 'not_sent', code: null, at_ms: null };
  const mine = events.filter((event) => event.kind === 'error' && event.scheme !== 'stun');
  const answer = mine.find((event) => event.code !== NO_ANSWER);
  if (answer) {
    const outcome = WANTS_CREDENTIALS.includes(answer.code) ? 'challenged' : 'error';
    return { outcome, code: answer.code, at_ms: answer.at_ms };
  }
  return { outcome: readFailure(mine, transport), code: null, at_ms: null };
}

function readFailure(errors, transport) {
  // A name without an IPv6 address fails by IPv6 even where all is well.
  const failed = errors.filter((event) => event.family !== 6);
  if (failed.some((event) => /lookup/i.test(event.text))) return 'name_not_found';
  if (!failed.length || failed.some((event) => /timed? ?out/i.test(event.text))) return 'no_answer';
  // Firefox gives no text. It waits longer than we do for a silent relay, so what comes earlier is the name, or a
  // refused connection; Chromium calls both of these "Failed to establish connection". `settle` tells them apart.
  return transport === 'tcp' ? 'refused' : 'name_not_found';
}

/** Read whether a STUN Binding was answered, and when. */
function readBinding(events) {
  const mapped = events.find((event) => event.type === 'srflx');
  if (mapped) return { answered: true, at_ms: mapped.at_ms, address: mapped.address };
  const complete = events.some((event) => event.kind === 'complete') && events.some((event) => event.type === 'host');
  const failed = events.some((event) => event.kind === 'error' && event.scheme === 'stun' && event.family !== 6);
  // Without a NAT the mapped address is the computer's own and need not be reported.
  return { answered: complete && !failed, at_ms: null, address: null };
}

/** Join what was seen of one relay: by UDP both questions, by TCP one. */
function settle(udp, tcp) {
  const outcome = { udp: udp.allocate.outcome, tcp: tcp.allocate.outcome };
  if (outcome.udp === 'no_answer' && udp.binding.answered) outcome.udp = 'binding_only';
  if (outcome.udp === 'name_not_found' && outcome.tcp !== 'challenged') outcome.tcp = 'name_not_found';
  return outcome;
}

// ---------------------------------------------------------------- judging

const OPEN = ['challenged', 'granted'];
const TELLING = ['binding_only', 'error', 'no_answer', 'refused', 'name_not_found', 'not_sent'];

/** Say one word for several relays of a Region. */
function combine(outcomes) {
  if (!outcomes.length) return 'not_tested';
  const open = outcomes.filter((outcome) => OPEN.includes(outcome)).length;
  if (open === outcomes.length) return 'open';
  if (open) return 'partly';
  return TELLING.find((outcome) => outcomes.includes(outcome));
}

/** Name what holds for a Region: keys of the table of verdicts, the one about audio first. Names of no Region have none. */
function judge(region) {
  const udp = combine(region.relays.map((relay) => relay.udp));
  const tcp = combine(region.relays.map((relay) => relay.tcp));
  const web = region.web.map((site) => site.outcome);
  const reached = web.includes('reached');
  const verdicts = region.region_code === null ? [] : [audioVerdict(udp, tcp, reached)];
  if (web.length && !reached && verdicts[0] !== 'nothing_answers') verdicts.push('web_fails');
  else if (reached && web.includes('failed')) verdicts.push('web_partly_fails');
  if (region.web.some((site) => site.outcome === 'reached' && site.websocket === 'failed')) verdicts.push('websocket_fails');
  return verdicts.length ? verdicts : ['web_open'];
}

function audioVerdict(udp, tcp, reached) {
  if (udp === 'open') return 'audio_open';
  if (udp === 'partly') return 'audio_partly';
  if (udp === 'binding_only') return 'turn_refused';
  if (udp === 'error') return 'relay_error';
  if (udp === 'not_tested') return 'no_relay_name';
  if (udp === 'not_sent') return reached ? 'udp_not_sent' : 'nothing_answers';
  if (udp === 'name_not_found') return reached ? 'name_not_found' : 'nothing_answers';
  if (tcp === 'open' || tcp === 'partly') return 'udp_blocked_tcp_open';
  return reached ? 'udp_blocked' : 'nothing_answers';
}

function smallest(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? Math.min(...known) : null;
}

/** The Region's time to answer, the smallest seen: of a relay, else of HTTPS, else unknown. The browser adds to it. */
function timeToAnswer(region) {
  const relay = smallest(region.relays.flatMap((one) => one.binding_ms));
  if (relay !== null) return { ms: relay, via: 'stun' };
  const web = smallest(region.web.flatMap((site) => (site.kept_open ? site.again_ms : [])));
  return { ms: web, via: web === null ? null : 'https' };
}

// ---------------------------------------------------------------- measuring

/** Let the browser gather candidates and keep what it reports until it is done, or for a while. */
function gather(world, servers, within_ms, enough) {
  return new Promise((resolve) => {
    const events = [];
    const connection = new world.RTCPeerConnection({ iceServers: servers, iceTransportPolicy: 'all' });
    let begun = world.now();
    let timer = null;
    const end = () => {
      world.clearTimeout(timer);
      connection.onicecandidate = connection.onicecandidateerror = connection.onicegatheringstatechange = null;
      connection.close();
      resolve(events);
    };
    const note = (event) => {
      if (events.length < MOST_EVENTS) events.push({ at_ms: Math.round((world.now() - begun) * 10) / 10, ...event });
      if (event.kind === 'complete' || (enough && enough(events))) end();
    };
    timer = world.setTimeout(end, within_ms);
    connection.onicecandidate = (event) => {
      const line = event.candidate ? event.candidate.candidate : '';
      const type = typeOf(line);
      if (type) note({ kind: 'candidate', type, address: type === 'srflx' ? line.split(' ')[4] : null });
    };
    connection.onicecandidateerror = (event) => {
      const scheme = String(event.url || '').split(':')[0];
      note({ kind: 'error', code: event.errorCode, text: String(event.errorText || '').slice(0, 100), scheme, family: familyOf(event.address) });
    };
    connection.onicegatheringstatechange = () => {
      if (connection.iceGatheringState === 'complete') note({ kind: 'complete' });
    };
    connection.createDataChannel('probe');
    connection
      .createOffer()
      .then((offer) => {
        begun = world.now(); // not at the event that says so: that may come late, and the time would be too short
        return connection.setLocalDescription(offer);
      })
      .catch((error) => {
        events.push({ at_ms: 0, kind: 'broken', text: String(error).slice(0, 100) });
        end();
      });
  });
}

const isAnswer = (event) => event.kind === 'error' && event.scheme !== 'stun' && event.code !== NO_ANSWER;

/** Ask one relay all there is to ask: Binding and Allocate by UDP, Allocate by TCP. */
async function reachRelay(world, relay) {
  const place = `${relay.host}:${relay.port}`;
  const secret = { username: 'probe', credential: 'probe' }; // no relay knows them: to be asked for better ones is the answer
  const byUdp = gather(
    world,
    [{ urls: `stun:${place}` }, { urls: `turn:${place}?transport=udp`, ...secret }],
    ANSWER_WITHIN_MS,
    (events) => events.some(isAnswer) && readBinding(events).at_ms !== null,
  );
  const byTcp = gather(world, [{ urls: `turn:${place}?transport=tcp`, ...secret }], ANSWER_WITHIN_MS, (events) => events.some(isAnswer));
  const [udp, tcp] = await Promise.all([byUdp, byTcp]);
  const seen = {
    udp: { allocate: readAllocate(udp, 'udp'), binding: readBinding(udp) },
    tcp: { allocate: readAllocate(tcp, 'tcp') },
  };
  return {
    host: relay.host,
    port: relay.port,
    ...settle(seen.udp, seen.tcp),
    error_code: seen.udp.allocate.code,
    binding: seen.udp.binding.answered,
    mapped_address: seen.udp.binding.address,
    binding_ms: [],
    udp_answer_ms: seen.udp.allocate.at_ms,
    tcp_answer_ms: seen.tcp.allocate.at_ms,
    events: { udp, tcp },
  };
}

/** Take one round trip: the time from the start of gathering to the mapped address. */
async function timeRelay(world, relay) {
  const servers = [{ urls: `stun:${relay.host}:${relay.port}` }];
  const events = await gather(world, servers, ROUND_WITHIN_MS, (seen) => readBinding(seen).at_ms !== null);
  return readBinding(events).at_ms;
}

const keptOpen = new Set(); // places whose connection was seen to be used again, also by a test before this one

/**
 * Fetch a page: cold, then over a connection that is new for sure, then five times more. If the fastest of those is much
 * faster than both, the connection was kept, and they took about one round trip; else nobody knows how many.
 */
async function reachWeb(world, site) {
  const found = { host: site.host, port: site.port, outcome: 'failed', first_ms: null, new_ms: null, again_ms: [], kept_open: false, websocket: 'not_tested', websocket_ms: null };
  const place = site.port === 443 ? site.host : `${site.host}:${site.port}`;
  const url = `https://${place}/favicon.ico`;
  found.first_ms = await fetchOnce(world, url, 'omit');
  if (found.first_ms !== null) {
    found.outcome = 'reached';
    found.new_ms = await fetchOnce(world, url, 'include'); // browsers keep connections with and without cookies apart
    for (let round = 0; round < WARM_ROUNDS; round += 1) found.again_ms.push(await fetchOnce(world, url, 'omit'));
    const warm = smallest(found.again_ms);
    const known = warm !== null && found.new_ms !== null;
    if (known && warm <= KEPT_SHARE * Math.min(found.first_ms, found.new_ms)) keptOpen.add(place); // one may be slow by chance
    found.kept_open = keptOpen.has(place);
  }
  if (site.websocket) {
    found.websocket_ms = await openWebSocket(world, `wss://${place}/`);
    found.websocket = found.websocket_ms === null ? 'failed' : 'opened';
  }
  return found;
}

async function fetchOnce(world, url, credentials) {
  const stop = new world.AbortController();
  const timer = world.setTimeout(() => stop.abort(), WEB_WITHIN_MS);
  const begun = world.now();
  try {
    // Any answer will do, also an error page: it came over TLS with a certificate that the browser trusts.
    await world.fetch(url, { mode: 'no-cors', cache: 'no-store', credentials, referrerPolicy: 'no-referrer', signal: stop.signal });
    return Math.round((world.now() - begun) * 10) / 10;
  } catch {
    return null;
  } finally {
    world.clearTimeout(timer);
  }
}

function openWebSocket(world, url) {
  return new Promise((resolve) => {
    const begun = world.now();
    let socket = null;
    const end = (ms) => {
      world.clearTimeout(timer);
      if (socket) socket.onopen = socket.onclose = null;
      if (socket && socket.readyState < 2) socket.close();
      resolve(ms);
    };
    const timer = world.setTimeout(() => end(null), WEB_WITHIN_MS);
    try {
      socket = new world.WebSocket(url);
      socket.onopen = () => end(Math.round((world.now() - begun) * 10) / 10);
      socket.onclose = () => end(null);
    } catch {
      end(null);
    }
  });
}

/** Run jobs, a few at a time; a stop lets the rest be. */
async function inTurn(jobs, atOnce, stopped) {
  const waiting = [...jobs];
  const work = async () => {
    while (waiting.length && !stopped()) await waiting.shift()();
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

/** Measure all Regions: whether they answer all at once, then round trips in turns so that none is at an advantage. */
async function measure(world, regions, report, stopped) {
  const found = regions.map((region) => ({ region_code: region.region_code, relays: [], web: [], verdicts: [], complete: false }));
  const relays = regions.flatMap((region) => region.relays).length;
  const total = regions.length + relays * ROUNDS;
  let done = 0;
  const step = (index) => {
    done += 1;
    report(found[index], done, total);
  };
  await Promise.all(
    regions.map(async (region, index) => {
      const row = found[index];
      [row.relays, row.web] = await Promise.all([
        Promise.all(region.relays.map((relay) => reachRelay(world, relay))),
        Promise.all(region.web.map((site) => reachWeb(world, site))),
      ]);
      row.verdicts = judge(row);
      step(index);
    }),
  );
  const rounds = () =>
    found.flatMap((row, index) =>
      row.relays.map((relay) => async () => {
        if (relay.binding) relay.binding_ms.push(await timeRelay(world, relay));
        step(index);
      }),
    );
  for (let round = 0; round < ROUNDS; round += 1) await inTurn(rounds(), AT_ONCE, stopped);
  found.forEach((row) => {
    row.complete = !stopped();
  });
  return found;
}

if (typeof module !== 'undefined') {
  module.exports = { combine, familyOf, gather, inTurn, judge, measure, readAllocate, readBinding, settle, timeToAnswer, typeOf };
}
