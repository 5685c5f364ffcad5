// The box that publishes: to a channel, or without an event to a user or a socket.
import { useState } from 'preact/hooks';
import { ask } from './api.js';
import { complaint } from './jsontext.js';
import { toast } from './notices.jsx';
import { ActionForm, Field } from './ui.jsx';

/** `target`: gives the path; `hasEvent`: whether the message has one. */
export function Publish({ target, hasEvent = false, submit = 'Publish', rows = 4 }) {
  const [event, setEvent] = useState('greeting');
  const [data, setData] = useState('{"hello":"world"}');
  const [wrong, setWrong] = useState({});
  const send = async () => {
    const found = {
      event: hasEvent && !event ? 'An event has a name.' : '',
      data: complaint(data),
    };
    setWrong(found);
    if (found.event || found.data) return;
    // The data goes out as it was typed: parsed and printed again, numbers could be others.
    const name = hasEvent ? `"event":${JSON.stringify(event)},` : '';
    await ask(target(), { method: 'POST', json: `{${name}"data":${data}}` });
    toast('Published.');
  };
  const keys = (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) e.currentTarget.form.requestSubmit();
  };
  return (
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
}
