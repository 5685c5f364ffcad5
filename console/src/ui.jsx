// The small parts that all pages are made of.
import { useId, useRef, useState } from 'preact/hooks';
import * as format from './format.js';
import { Icon } from './icons.jsx';
import { toast } from './notices.jsx';
import { reasons, toneOf } from './reasons.js';

/** A name is any text: what cannot be seen is made visible, and its direction stays its own. */
export function Name({ text }) {
  if (text === '') return <span class="muted">(empty)</span>;
  return (
    <bdi class="name" title={text}>
      {format.visible(text)}
    </bdi>
  );
}

/** A number as people read it, with the whole of it in its title. */
export const Count = ({ n }) => (
  <span title={n == null ? undefined : format.full(n)}>{format.count(n)}</span>
);

export const Bytes = ({ n }) => (
  <span title={n == null ? undefined : `${format.full(n)} bytes`}>{format.bytes(n)}</span>
);

/** How long ago unix time `s` was. */
export const Since = ({ s, now, suffix = '' }) => (
  <time dateTime={new Date(s * 1000).toISOString()} title={format.moment(s)}>
    {format.duration(now / 1000 - s)}
    {suffix}
  </time>
);

export function Card({ title, more, children, class: extra = '' }) {
  const id = useId();
  return (
    <section class={`card ${extra}`} aria-labelledby={id}>
      <header class="card-head">
        <h2 id={id}>{title}</h2>
        {more}
      </header>
      {children}
    </section>
  );
}

/** Where there is nothing yet: what it is, and how there comes to be some. */
export const Empty = ({ title, children }) => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    <p>{children}</p>
  </div>
);

/** What the API refused. That something is not permitted is no failure. */
export function Refusal({ error, what }) {
  if (!error) return null;
  if (error.isForbidden)
    return (
      <p class="note">
        <strong>Not for this key.</strong> {what} {error.message}
      </p>
    );
  return (
    <p class="note note-bad" role="alert">
      {error.message}
    </p>
  );
}

export const Loading = () => <p class="loading">Asking the nodes …</p>;

/** One of: what was refused, that it is being asked for, nothing there, or the children. */
export function Result({ result, what, isEmpty, empty, children }) {
  if (result.error) return <Refusal error={result.error} what={what} />;
  if (result.data === undefined) return <Loading />;
  return isEmpty ? empty : children;
}

export function Chip({ tone = 'calm', title, children }) {
  return (
    <span class={`chip chip-${tone}`} title={title}>
      {children}
    </span>
  );
}

export const Reason = ({ word }) => (
  <Chip tone={toneOf(word)} title={reasons[word]}>
    {word}
  </Chip>
);

/** A table that scrolls by itself where it is wider than the page; without links in it (`hasLinks`) it
 *  takes the focus itself, so that the keyboard can scroll it. */
export function Table({ label, head, hasLinks, children }) {
  return (
    <div class="table-box" role="group" aria-label={label} tabIndex={hasLinks ? undefined : 0}>
      <table>
        <thead>
          <tr>
            {head.map((h) => (
              <th key={h.text ?? h} scope="col" class={h.class}>
                {h.text ?? h}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Search({ label, value, onInput }) {
  const id = useId();
  return (
    <div class="search">
      <label for={id} class="hidden">
        {label}
      </label>
      <Icon name="search" />
      <input
        id={id}
        type="search"
        data-search
        placeholder={label}
        autocomplete="off"
        spellcheck={false}
        value={value}
        onInput={(e) => onInput(e.currentTarget.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

/** A labelled field; `hint` and `error` are read with it. */
export function Field({ label, hint, error, as: Tag = 'input', ...props }) {
  const id = useId();
  const about = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <Tag
        id={id}
        spellcheck={false}
        autocomplete="off"
        aria-describedby={about || undefined}
        aria-invalid={error ? 'true' : undefined}
        {...props}
      />
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="field-error" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

/** A form that does one thing at a time; what is refused stands below it. */
export function ActionForm({ onSubmit, submit, children, class: extra = '', tone = '', what }) {
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const act = async (e) => {
    e.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class={`form ${extra}`} onSubmit={act}>
      {children}
      <div class="form-end">
        <button class={`button ${tone}`} aria-disabled={isBusy}>
          {submit}
        </button>
      </div>
      <Refusal error={error} what={what} />
    </form>
  );
}

export function Copy({ text, label }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast('Copied.');
    } catch {
      toast('This browser does not let the page copy.', 'bad');
    }
  };
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={copy}>
      <Icon name="copy" />
    </button>
  );
}

/** A modal dialog: the browser keeps the focus inside, Escape closes it, and the focus goes back. */
export function Dialog({ title, onClose, children }) {
  const id = useId();
  const shown = useRef(null);
  const show = (dialog) => {
    if (!dialog || shown.current === dialog) return;
    shown.current = dialog;
    dialog.showModal();
  };
  return (
    <dialog ref={show} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Names as links or plain words, some of them at first. */
export function Names({ names, n, link, none, label }) {
  if (!names.length) return <p class="muted">{none}</p>;
  return (
    <ul class="names" aria-label={label}>
      {names.map((name) => (
        <li key={name}>
          {link ? (
            <a class="pill" href={link(name)}>
              <Name text={name} />
            </a>
          ) : (
            <span class="pill">
              <Name text={name} />
            </span>
          )}
        </li>
      ))}
      {n > names.length && <li class="muted">and {format.count(n - names.length)} more</li>}
    </ul>
  );
}

export const User = ({ user, href }) =>
  user ? (
    <a href={href}>
      <Name text={user} />
    </a>
  ) : (
    <span class="muted">anonymous</span>
  );

/** Facts, name and value. */
export const Facts = ({ children }) => <dl class="facts">{children}</dl>;

export const Fact = ({ name, children }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);
