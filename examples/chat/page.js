// The chat's page. What comes from others is put into it as text, never as markup.
import { listen } from './socket.js';

const MESSAGES_MAX = 1000; // what a page keeps

const $ = (id) => document.getElementById(id);

let me, rooms; // who we are, by the backend
let people = [];
let place; // what is shown: { room } or { person: { id, name } }
const messages = new Map(); // id → { channel, ..message }
const read = new Map(); // key of a place → the last id that was seen there

// ---- asking the backend

async function ask(method, path, body) {
  const headers = body && { 'Content-Type': 'application/json' };
  const signal = AbortSignal.timeout(10_000);
  const reply = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

// ---- places, and what belongs to them

const keyOf = ({ room, person }) => (room ? `room:${room}` : person.id);

/** The key of the place where a message is shown: a room's, or that of whom we talk to alone. */
function placeOf({ channel, from, to }) {
  if (!to) return channel;
  return from.id === me.id ? to.id : from.id;
}

const messagesAt = (key) =>
  [...messages.values()].filter((m) => placeOf(m) === key).sort((a, b) => a.id - b.id);

/** Those who are here, and those who have written to us and are not any more. */
function partners() {
  const found = new Map();
  for (const { from, to } of messages.values())
    for (const person of to ? [from, to] : []) found.set(person.id, { ...person, isGone: true });
  for (const person of people) found.set(person.id, person);
  if (place.person && !found.has(place.person.id))
    found.set(place.person.id, { ...place.person, isGone: true });
  found.delete(me.id);
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

// ---- showing it

function element(name, text, more = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...more });
}

function placeButton(target, text) {
  const key = keyOf(target);
  const button = element('button', text, { type: 'button', onclick: () => go(target) });
  if (key === keyOf(place)) button.setAttribute('aria-current', 'true');
  const unread = messagesAt(key).filter(
    ({ id, from }) => id > (read.get(key) ?? 0) && from.id !== me.id,
  );
  if (unread.length)
    button.append(element('span', `${unread.length} new`, { className: 'unread' }));
  const item = element('li', '');
  item.append(button);
  return item;
}

function messageItem({ id, from, text, at }) {
  const item = element('article', '', { className: from.id === me.id ? 'mine' : '' });
  item.dataset.id = id;
  const date = new Date(at);
  const time = element('time', date.toLocaleTimeString([], { timeStyle: 'short' }), {
    dateTime: date.toISOString(),
  });
  item.append(element('b', from.name), time, element('p', text));
  return item;
}

function show() {
  const key = keyOf(place);
  const here = messagesAt(key);
  read.set(key, here.at(-1)?.id ?? 0);
  $('rooms').replaceChildren(...rooms.map((room) => placeButton({ room }, `# ${room}`)));
  const others = partners().map((person) =>
    placeButton({ person }, person.name + (person.isGone ? ' (gone)' : '')),
  );
  $('people').replaceChildren(...(others.length ? others : [element('li', 'only you')]));
  $('place').textContent = place.room ? `# ${place.room}` : `${place.person.name}, in private`;
  $('me').textContent = me.name;
  const log = $('log');
  // Only what is new is put in, so that it alone is read out; unless it belongs in between.
  const last = log.dataset.place === key ? Number(log.lastChild?.dataset.id ?? 0) : 0;
  const fresh = here.filter(({ id }) => id > last);
  const isWhole = here.length - fresh.length === log.children.length;
  if (last && isWhole) log.append(...fresh.map(messageItem));
  else log.replaceChildren(...here.map(messageItem));
  log.dataset.place = key;
  log.scrollTop = log.scrollHeight;
}

function go(target) {
  place = target;
  show();
  $('text').focus();
}

// ---- listening

function keep(channel, message) {
  messages.set(message.id, { channel, ...message });
  if (messages.size > MESSAGES_MAX) messages.delete(messages.keys().next().value);
}

let listener;

function start() {
  listener = listen({
    async token() {
      const access = await ask('POST', 'token', {});
      if (access) ({ me, rooms } = access);
      return access;
    },
    onMessage({ channel, event, data }) {
      if (event === 'people') people = data;
      else if (event === 'message') keep(channel, data);
      if (place) show();
    },
    onState(state) {
      $('state').className = `state ${state}`;
      $('state').textContent = { live: 'connected', waiting: 'connecting …', ended: '' }[state];
      if (state === 'ended') leave();
      // All channels are live: what is asked for now, and what comes meanwhile, is everything.
      if (state === 'live') catchUp();
    },
  });
}

async function catchUp() {
  const state = await ask('GET', 'state').catch(() => undefined);
  if (!listener) return; // we have left meanwhile
  if (!state) return void setTimeout(catchUp, 2000); // the backend is away
  people = state.people;
  for (const [channel, log] of Object.entries(state.logs))
    for (const message of log) keep(channel, message);
  place ??= { room: rooms[0] };
  $('door').hidden = true;
  $('chat').hidden = false;
  show();
}

function leave() {
  listener = place = undefined;
  messages.clear();
  read.clear();
  $('log').dataset.place = '';
  $('chat').hidden = true;
  $('door').hidden = false;
  $('name').focus();
}

// ---- what the user does

function onSubmit(form, act) {
  $(form).addEventListener('submit', async (event) => {
    event.preventDefault();
    const error = $(`${form}-error`);
    const button = $(form).querySelector('button');
    button.disabled = true; // once is enough
    try {
      await act();
      error.textContent = '';
    } catch ({ message }) {
      error.textContent = message;
    }
    button.disabled = false;
  });
}

onSubmit('sign-in', async () => {
  await ask('POST', 'sign-in', { name: $('name').value });
  start();
});

onSubmit('say', async () => {
  const { value } = $('text');
  if (place.room) await ask('POST', 'say', { room: place.room, text: value });
  else await ask('POST', 'whisper', { to: place.person.id, text: value });
  if ($('text').value === value) $('text').value = '';
});

$('sign-out').addEventListener('click', async () => {
  await ask('POST', 'sign-out', {}).catch(() => {});
  listener?.close();
});

start();
