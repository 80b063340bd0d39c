'use strict';
// Runs the page's measurement in a world without a network or a clock: what each server does is told on the command
// line, time passes at once. Prints what the page found, how long it took and what it opened.

const { measure } = require(process.argv[2]);
const story = JSON.parse(process.argv[3]);

let now = 0;
let number = 0;
const timers = [];
const opened = [];
const known = new Set();
let open = 0;

const setTimeout = (work, ms) => {
  number += 1;
  timers.push({ at: now + ms, number, work });
  return number;
};
const clearTimeout = (id) => {
  const index = timers.findIndex((timer) => timer.number === id);
  if (index >= 0) timers.splice(index, 1);
};

class RTCPeerConnection {
  constructor(settings) {
    open += 1;
    this.urls = settings.iceServers.map((server) => server.urls);
    this.iceGatheringState = 'new';
    opened.push(...this.urls);
  }

  createDataChannel() {}

  async createOffer() {
    if (story.broken) throw new Error('not allowed');
    return {};
  }

  async setLocalDescription() {
    for (const url of this.urls) {
      const [scheme, host] = url.split(':');
      const told = (story.relays[host] || {})[url.endsWith('tcp') ? 'tcp' : scheme];
      if (told === undefined || told === null) continue;
      setTimeout(() => {
        if (this.closed) return;
        if (told.address) this.onicecandidate?.({ candidate: { candidate: `candidate:1 1 udp 1 ${told.address} 5 typ srflx raddr 0.0.0.0 rport 0` } });
        else this.onicecandidateerror?.({ errorCode: told.code, errorText: told.text || '', url, address: told.from || '0.0.0.x' });
      }, told.ms);
    }
  }

  close() {
    this.closed = true;
    open -= 1;
  }
}

class AbortController {
  constructor() {
    this.signal = { onabort: null };
  }

  abort() {
    this.signal.onabort?.();
  }
}

class WebSocket {
  constructor(url) {
    opened.push(url);
    this.readyState = 0;
    const told = story.web[new URL(url).hostname];
    setTimeout(() => (told && told.websocket ? this.onopen?.() : this.onclose?.()), 30);
  }

  close() {}
}

const fetch = (url, settings) =>
  new Promise((resolve, refuse) => {
    opened.push(url);
    const told = story.web[new URL(url).hostname];
    if (told === undefined) settings.signal.onabort = () => refuse(new Error('aborted'));
    else {
      const pool = `${settings.credentials} ${url}`;
      const cold = told.closes || !known.has(pool);
      known.add(pool);
      const late = settings.credentials === 'include' ? (told.late_ms ?? 0) : 0; // by chance, this one time
      setTimeout(() => (told.fails ? refuse(new Error('failed')) : resolve({})), (cold ? 3 * told.ms : told.ms) + late);
    }
  });

async function pass() {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  timers.sort((a, b) => a.at - b.at || a.number - b.number);
  const next = timers.shift();
  if (!next) return false;
  now = Math.max(now, next.at);
  next.work();
  return true;
}

const world = { RTCPeerConnection, WebSocket, AbortController, fetch, setTimeout, clearTimeout, now: () => now };
const seen = [];
const stopped = () => story.stop_after !== undefined && seen.length >= story.stop_after;
measure(world, story.regions, (row, done, total) => seen.push([done, total]), stopped).then((found) => {
  console.log(JSON.stringify({ found, took_ms: now, opened, left_open: open, seen }));
});
(async () => {
  while (await pass());
})();
