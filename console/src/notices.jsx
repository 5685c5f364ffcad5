// What is said in passing: toasts, which are announced, and questions before something is done.
import { useState } from 'preact/hooks';
import { Icon } from './icons.jsx';
import { Store, useStore } from './store.js';
import { Dialog, Field } from './ui.jsx';

const TOAST_MS = 5000;
const toasts = new Store([]);
const question = new Store(null);
let nextId = 1;

const drop = (id) => toasts.set(toasts.get().filter((t) => t.id !== id));

export function toast(text, tone = 'good') {
  const id = nextId++;
  toasts.set([...toasts.get().slice(-3), { id, text, tone }]);
  // What went wrong stays until it is put away.
  if (tone !== 'bad') setTimeout(drop, TOAST_MS, id);
}

/** Asks before something is done: the reason that was given (perhaps ''), or null for no.
 *  `typed`: a text that has to be typed first. */
export const confirm = (asked) =>
  new Promise((resolve) => question.set({ ...asked, resolve, id: nextId++ }));

function Question({ asked }) {
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const isSure = asked.typed === undefined || typed === asked.typed;
  const end = (answer) => {
    asked.resolve(answer);
    question.set(null);
  };
  const submit = (e) => {
    e.preventDefault();
    if (isSure) end(reason);
  };
  return (
    <Dialog title={asked.title} onClose={() => end(null)}>
      <form class="form" onSubmit={submit}>
        <p>{asked.text}</p>
        {asked.typed !== undefined && (
          <Field
            label={`Type ${asked.typed} to go on`}
            value={typed}
            onInput={(e) => setTyped(e.currentTarget.value)}
          />
        )}
        <Field
          label="Reason (the client is told)"
          hint="At most 123 bytes; may be left empty."
          value={reason}
          maxLength={123}
          onInput={(e) => setReason(e.currentTarget.value)}
        />
        <div class="form-end">
          <button type="button" class="button quiet" onClick={() => end(null)}>
            Cancel
          </button>
          <button class="button danger" aria-disabled={!isSure}>
            {asked.action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function Notices() {
  const asked = useStore(question);
  return (
    <>
      <div class="toasts" role="status" aria-live="polite">
        {useStore(toasts).map((t) => (
          <div key={t.id} class={`toast toast-${t.tone}`}>
            <span>{t.text}</span>
            <button
              type="button"
              class="icon-button"
              aria-label="Put away"
              onClick={() => drop(t.id)}
            >
              <Icon name="close" />
            </button>
          </div>
        ))}
      </div>
      {asked && <Question key={asked.id} asked={asked} />}
    </>
  );
}
