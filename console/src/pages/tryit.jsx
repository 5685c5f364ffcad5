// With --dev: a token, a socket of this very page, and a message that goes all the way.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, path } from '../api.js';
import { Messages, useMessages } from '../messages.jsx';
import { Publish } from '../publish.jsx';
import { to } from '../route.js';
import { ActionForm, Card, Chip, Copy, Empty, Fact, Facts, Field, Name } from '../ui.jsx';

function urlOf(setup, app, token) {
  const scheme = setup.slave_tls ? 'wss' : 'ws';
  return `${scheme}://${location.hostname}:${setup.slave_port}/v1/${path`apps/${app}/ws`}?token=${token}`;
}

const closedWith = ({ code, reason }) =>
  code === 1006
    ? 'The connection could not be opened, or it broke (1006).'
    : `The server closed it: ${code}${reason ? ` ${reason}` : ''}.`;

/** A socket and how it is: { state, id, subscribed, sentence, open, send, close }. */
function useSocket(setup, onMessage) {
  const socket = useRef(null);
  const [state, setState] = useState({ state: 'closed' });
  const close = () => {
    socket.current?.close(1000);
    socket.current = null;
    setState({ state: 'closed' });
  };
  useEffect(() => () => socket.current?.close(1000), []);

  const listen = (ws, channels) => {
    const isMine = () => socket.current === ws;
    ws.onopen = () => {
      for (const channel of channels)
        ws.send(JSON.stringify({ event: 'gusher.subscribe', data: { channel } }));
      if (isMine()) setState((s) => ({ ...s, state: 'open' }));
    };
    ws.onmessage = ({ data: text }) => {
      if (!isMine()) return;
      onMessage(text);
      const { event, socket_id: id, data } = JSON.parse(text) ?? {};
      if (event === 'gusher.subscribe_succeeded')
        setState((s) => ({ ...s, id, subscribed: [...s.subscribed, data.channel] }));
    };
    ws.onclose = (e) => {
      if (!isMine()) return;
      socket.current = null;
      setState({ state: 'closed', sentence: closedWith(e) });
    };
  };

  const open = async ({ app, user, channels, grants }) => {
    close();
    const { token } = await ask('dev/token', {
      method: 'POST',
      body: { app, user_id: user, channels: grants },
    });
    const ws = new WebSocket(urlOf(setup, app, token));
    socket.current = ws;
    setState({ state: 'opening', app, user, channels, token, subscribed: [] });
    listen(ws, channels);
  };
  return { ...state, open, close };
}

/** A message as a client gets it: the event in front, the text as it came. */
function received(text) {
  const { event, channel } = JSON.parse(text) ?? {};
  return { time: Date.now(), event: channel ? `${channel}: ${event}` : (event ?? 'message'), text };
}

const list = (text) => text.split(/[\s,]+/).filter(Boolean);

function Wishes({ socket }) {
  const [app, setApp] = useState('demo');
  const [user, setUser] = useState('alice');
  const [channels, setChannels] = useState('news');
  const [grants, setGrants] = useState('*');
  const [wrong, setWrong] = useState({});
  const open = async () => {
    const found = {
      app: app ? '' : 'A token is for an app.',
      channels: list(channels).length ? '' : 'Name a channel to listen to.',
    };
    setWrong(found);
    if (found.app || found.channels) return;
    await socket.open({ app, user, channels: list(channels), grants: list(grants) });
  };
  const text = (set) => (e) => set(e.currentTarget.value);
  return (
    <ActionForm
      onSubmit={open}
      submit={socket.state === 'closed' ? 'Open a socket' : 'Open another one'}
    >
      <div class="fields">
        <Field label="App" value={app} error={wrong.app} onInput={text(setApp)} />
        <Field label="User" value={user} hint="Empty: anonymous." onInput={text(setUser)} />
      </div>
      <div class="fields">
        <Field
          label="Subscribe to"
          value={channels}
          error={wrong.channels}
          hint="Several with blanks between."
          onInput={text(setChannels)}
        />
        <Field
          label="Grants of the token"
          value={grants}
          hint="What it may subscribe to; * is all."
          onInput={text(setGrants)}
        />
      </div>
    </ActionForm>
  );
}

const tones = { closed: 'calm', opening: 'warn', open: 'good' };

function Opened({ socket }) {
  return (
    <Facts>
      <Fact name="Socket">
        <Chip tone={tones[socket.state]}>{socket.state}</Chip>{' '}
        {socket.id && (
          <a href={to.socket(socket.app, socket.id)}>
            <code>{socket.id.slice(0, 13)}…</code>
          </a>
        )}
      </Fact>
      <Fact name="Subscribed to">
        {socket.subscribed.length
          ? socket.subscribed.map((channel) => (
              <a key={channel} class="pill" href={to.channel(socket.app, channel)}>
                <Name text={channel} />
              </a>
            ))
          : 'nothing yet'}
      </Fact>
      <Fact name="Token">
        <code class="token">{socket.token.slice(0, 18)}…</code>{' '}
        <Copy text={socket.token} label="Copy the token" />
      </Fact>
    </Facts>
  );
}

export function TryIt({ setup }) {
  const messages = useMessages();
  const socket = useSocket(setup, (text) => messages.add(received(text)));
  const isUp = socket.state !== 'closed';
  const channel = socket.subscribed?.[0];
  if (!setup.slave_port)
    return (
      <>
        <h1 tabIndex={-1}>Try it</h1>
        <Empty title="This process takes no sockets.">
          It is a master alone; ask a slave’s neighbour.
        </Empty>
      </>
    );
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Try it</h1>
        <p class="page-facts">
          This page makes a token, opens a socket like any client, and publishes like a backend.
        </p>
        {isUp && (
          <button type="button" class="button quiet" onClick={socket.close}>
            Close the socket
          </button>
        )}
      </div>
      {socket.sentence && (
        <p class="note" role="status">
          {socket.sentence}
        </p>
      )}
      <div class="columns columns-two">
        <Card title="1 · A client">
          <Wishes socket={socket} />
          {isUp && <Opened socket={socket} />}
        </Card>
        <Card title="2 · A backend">
          {channel === undefined ? (
            <Empty title="Nothing to publish to yet.">
              Open a socket first: a message goes to whoever is subscribed at that moment.
            </Empty>
          ) : (
            <>
              <p class="muted to-channel">
                To{' '}
                <b>
                  <Name text={channel} />
                </b>{' '}
                of{' '}
                <b>
                  <Name text={socket.app} />
                </b>
              </p>
              <Publish
                hasEvent
                target={() => path`apps/${socket.app}/channels/${channel}/messages`}
              />
            </>
          )}
        </Card>
      </div>
      <Card title="3 · What the socket gets" class="card-tail">
        <Messages
          messages={messages}
          title="Messages of the socket"
          isListening={isUp}
          empty="Every message that the server sends to the socket stands here, newest first, as it came."
        />
      </Card>
    </>
  );
}
