// A list of messages as they come: bounded, paused at will, and not chatty to screen readers.
import { useEffect, useRef, useState } from 'preact/hooks';
import * as format from './format.js';
import { Icon } from './icons.jsx';
import { dataOf, indented } from './jsontext.js';
import { Empty, Name } from './ui.jsx';

const KEPT = 200;
const DRAW_MS = 200;
const SAY_MS = 5000;

/** Messages are drawn some times a second, however many come: { list, seen, dropped, isPaused, .. }. */
export function useMessages() {
  const box = useRef({ list: [], seen: 0, dropped: 0, isPaused: false, timer: 0, id: 0 });
  const [, redraw] = useState(0);
  const soon = () => {
    const b = box.current;
    b.timer ||= setTimeout(() => {
      b.timer = 0;
      redraw((n) => n + 1);
    }, DRAW_MS);
  };
  useEffect(() => () => clearTimeout(box.current.timer), []);
  const change = (fields) => {
    Object.assign(box.current, fields);
    redraw((n) => n + 1);
  };
  return {
    ...box.current,
    add(message) {
      const b = box.current;
      b.seen++;
      if (!b.isPaused) b.list = [{ ...message, id: ++b.id }, ...b.list].slice(0, KEPT);
      soon();
    },
    addDropped(n) {
      box.current.dropped += n;
      soon();
    },
    pause: () => change({ isPaused: !box.current.isPaused }),
    clear: () => change({ list: [], seen: 0, dropped: 0 }),
  };
}

/** A message of the live tail as the list takes it. */
export const fromEvent = (data, text) => ({
  time: data.time,
  event: data.event,
  text: dataOf(text),
});

function Message({ message }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <li>
      <details onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>
          <time class="number">{format.timeOfDay(message.time)}</time>
          <span class="message-event">
            <Name text={message.event} />
          </span>
          <code class="message-data">{message.text.slice(0, 500)}</code>
        </summary>
        {isOpen && <pre>{indented(message.text)}</pre>}
      </details>
    </li>
  );
}

/** Says from time to time how many have come, instead of reading each. */
function Announcer({ seen }) {
  const [said, setSaid] = useState('');
  const latest = useRef(seen);
  latest.current = seen;
  useEffect(() => {
    let before = latest.current;
    const timer = setInterval(() => {
      const n = latest.current - before;
      before = latest.current;
      if (n > 0) setSaid(`${format.plural(n, 'new message')}, ${format.full(before)} in all`);
    }, SAY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <p class="hidden" role="status">
      {said}
    </p>
  );
}

export function Messages({ messages, title, empty, isListening = true }) {
  const { list, seen, dropped, isPaused } = messages;
  return (
    <>
      <div class="tail-tools">
        <p class="muted">
          <span class="number">{format.count(seen)}</span> seen
          {dropped > 0 && `, ${format.count(dropped)} more were too many to show`}
        </p>
        <button
          type="button"
          class="button quiet small"
          aria-pressed={isPaused}
          onClick={messages.pause}
        >
          <Icon name={isPaused ? 'play' : 'pause'} />
          {isPaused ? 'Go on' : 'Pause'}
        </button>
        <button type="button" class="button quiet small" onClick={messages.clear}>
          Clear
        </button>
      </div>
      <Announcer seen={seen} />
      {list.length ? (
        <div class="tail" role="log" aria-live="off" aria-label={title} tabIndex={0}>
          <ol>
            {list.map((m) => (
              <Message key={m.id} message={m} />
            ))}
          </ol>
        </div>
      ) : (
        <Empty title={!isListening ? 'Nothing yet.' : isPaused ? 'Paused.' : 'Listening …'}>{empty}</Empty>
      )}
    </>
  );
}
