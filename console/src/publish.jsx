// The box that publishes: to a channel, or without an event to a user or a socket.
import { useState } from 'preact/hooks';
import { ask } from './api.js';
import { key } from './settings.js';
import { complaint } from './jsontext.js';
import { toast } from './notices.jsx';
import { ActionForm, Copy, Field } from './ui.jsx';

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** What a backend would do, to be pasted into a shell. */
function Command({ target, json }) {
  let path;
  try {
    path = target();
  } catch (error) {
    return <p class="muted command">{error.message}</p>; // a name that no path can hold
  }
  const url = new URL(`../v1/${path}`, location.href.replace(/#.*/, ''));
  const bearer = key.get() === null ? '' : ` -H "Authorization: Bearer $GUSHER_MASTER_KEY"`;
  const text = `curl${bearer} -d ${quoted(json)} ${quoted(url.href)}`;
  return (
    <details class="command">
      <summary>The same by curl</summary>
      <div class="command-text">
        <code>{text}</code>
        <Copy text={text} label="Copy the command" />
      </div>
    </details>
  );
}

/** `target`: gives the path; `hasEvent`: whether the message has one. */
export function Publish({ target, hasEvent = false, submit = 'Publish', rows = 4 }) {
  const [event, setEvent] = useState('greeting');
  const [data, setData] = useState('{"hello":"world"}');
  const [wrong, setWrong] = useState({});
  // The data goes out as it was typed: parsed and printed again, numbers could be others.
  const json = `{${hasEvent ? `"event":${JSON.stringify(event)},` : ''}"data":${data}}`;
  const send = async () => {
    const found = {
      event: hasEvent && !event ? 'An event has a name.' : '',
      data: complaint(data),
    };
    setWrong(found);
    if (found.event || found.data) return;
    await ask(target(), { method: 'POST', json });
    toast('Published.');
  };
  const keys = (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) e.currentTarget.form.requestSubmit();
  };
  const form = (
    <ActionForm onSubmit={send} submit={submit} what="Nothing was published.">
      {hasEvent && (
        <Field
          label="Event"
          value={event}
          error={wrong.event}
          onInput={(e) => setEvent(e.currentTarget.value)}
        />
      )}
      <Field
        as="textarea"
        label="Data (JSON)"
        class="code"
        rows={rows}
        value={data}
        error={wrong.data}
        onInput={(e) => setData(e.currentTarget.value)}
        onKeyDown={keys}
      />
    </ActionForm>
  );
  return (
    <>
      {form}
      <Command target={target} json={json} />
    </>
  );
}
