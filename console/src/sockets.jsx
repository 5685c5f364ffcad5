// Sockets in a table, and what is done to them.
import { useState } from 'preact/hooks';
import { ask, path } from './api.js';
import * as format from './format.js';
import { useNow } from './hooks.js';
import { confirm, toast } from './notices.jsx';
import { to } from './route.js';
import { ActionForm, Bytes, Field, Since, Table, User } from './ui.jsx';

/** More than this are not looked at. */
export const SHOWN = 200;

/** The beginning of a socket's id is enough to tell it from its neighbours. */
export const SocketLink = ({ app, id }) => (
  <a href={to.socket(app, id)} title={id}>
    <code>{id.slice(0, 13)}…</code>
  </a>
);

export function Queue({ socket }) {
  if (!socket.queue_messages && !socket.queue_bytes) return <span class="muted">empty</span>;
  return (
    <span class="warn-text" title={`${format.full(socket.queue_bytes)} bytes`}>
      {format.plural(socket.queue_messages, 'message')}, <Bytes n={socket.queue_bytes} />
    </span>
  );
}

function head(withUser) {
  return [
    'Socket',
    ...(withUser ? ['User'] : []),
    'Address',
    'Node',
    { text: 'Open for', class: 'number' },
    { text: 'Channels', class: 'number' },
    { text: 'Queue', class: 'number' },
  ];
}

/** `isWhole`: they are all there are. */
export function SocketsTable({ app, sockets, isWhole = true, withUser }) {
  const now = useNow(1000);
  return (
    <>
      <Table label="Sockets" head={head(withUser)} hasLinks>
        {sockets.map((s) => (
          <tr key={s.socket_id}>
            <th scope="row">
              <SocketLink app={app} id={s.socket_id} />
            </th>
            {withUser && (
              <td class="cut">
                <User user={s.user_id} href={to.user(app, s.user_id)} />
              </td>
            )}
            <td class="digits">{s.address || <span class="muted">unknown</span>}</td>
            <td>
              <code>{s.node}</code>
            </td>
            <td class="number">
              <Since s={s.since} now={now} />
            </td>
            <td class="number">{format.count(s.n_subscriptions)}</td>
            <td class="number">
              <Queue socket={s} />
            </td>
          </tr>
        ))}
      </Table>
      {!isWhole && <p class="more">These are {SHOWN} of them.</p>}
    </>
  );
}

/** Asks, then closes a user's sockets or one socket: whether that was done. */
export async function kick({ title, text, target }) {
  const reason = await confirm({ title, text, action: 'Disconnect' });
  if (reason === null) return false;
  await ask(target, { method: 'POST', body: { reason } });
  toast('Disconnected.');
  return true;
}

export function AddChannel({ app, user }) {
  const [channel, setChannel] = useState('');
  const [wrong, setWrong] = useState('');
  const add = async () => {
    setWrong(channel ? '' : 'A permission has a name.');
    if (!channel) return;
    await ask(path`apps/${app}/users/${user}/channels`, { method: 'POST', body: { channel } });
    toast(`Added ${channel}.`);
    setChannel('');
  };
  return (
    <ActionForm onSubmit={add} submit="Add channel" what="No channel was added.">
      <Field
        label="Channel"
        value={channel}
        error={wrong}
        hint={
          <>
            The user’s sockets may then subscribe to it. A <code>*</code> stands for any characters.
          </>
        }
        onInput={(e) => setChannel(e.currentTarget.value)}
      />
    </ActionForm>
  );
}
