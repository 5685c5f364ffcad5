// A channel: its messages as they go out, who is there, and a box to publish to it.
import { useEffect } from 'preact/hooks';
import { ask, askSome, path } from '../api.js';
import { Crumbs } from '../crumbs.jsx';
import * as format from '../format.js';
import { usePoll } from '../hooks.js';
import { connection, follow } from '../live.js';
import { fromEvent, Messages, useMessages } from '../messages.jsx';
import { Publish } from '../publish.jsx';
import { SHOWN, SocketsTable } from '../sockets.jsx';
import { useStore } from '../store.js';
import { Card, Empty, Name, Result } from '../ui.jsx';

const LIVE_MS = 2500;

/** The greatest name that is not behind any that comes before this one: so a search begins with it. */
function justBefore(name) {
  const last = [...name].at(-1);
  const code = last.codePointAt(0);
  const start = name.slice(0, -last.length);
  if (!code) return start;
  return `${start}${String.fromCodePoint(code === 0xe000 ? 0xd7ff : code - 1)}\u{10ffff}`;
}

/** However many are there, these are two numbers. */
async function countsOf(app, channel, signal) {
  const query = new URLSearchParams({ contains: channel, after: justBefore(channel), limit: 1 });
  const [found, users] = await Promise.all([
    ask(`${path`apps/${app}/channels/search`}?${query}`, { signal }),
    ask(path`apps/${app}/channels/${channel}/users/count`, { signal }),
  ]);
  const mine = found.channels.find((c) => c.channel === channel);
  return { subscriptions: mine?.subscriptions ?? 0, users: users.count };
}

export function ChannelPage({ names: [app, channel] }) {
  const messages = useMessages();
  const { state, sentence } = useStore(connection);
  useEffect(
    () =>
      follow({
        app,
        channel,
        onMessage: (data, text) => messages.add(fromEvent(data, text)),
        onDropped: messages.addDropped,
      }),
    [],
  );
  const counts = usePoll((signal) => countsOf(app, channel, signal), [], LIVE_MS);
  const sockets = usePoll(
    (signal) => askSome(path`apps/${app}/channels/${channel}/sockets`, SHOWN, { signal }),
    [],
    LIVE_MS,
  );
  const { items: there = [], isWhole = true } = sockets.data ?? {};
  return (
    <>
      <Crumbs app={app} kind="Channel" />
      <div class="page-head">
        <h1 tabIndex={-1}>
          <Name text={channel} />
        </h1>
        <p class="page-facts">
          {counts.data &&
            `${format.plural(counts.data.subscriptions, 'subscription')} · ${format.plural(counts.data.users, 'user')}`}
        </p>
      </div>
      <div class="columns columns-main">
        <Card title="Live messages" class="card-tail">
          {state === 'forbidden' ? (
            <p class="note">
              <strong>Not for this key.</strong> {sentence}
            </p>
          ) : (
            <Messages
              messages={messages}
              title="Messages"
              empty="Messages are shown from now on, newest first; none is kept. Publish one to see it here."
            />
          )}
        </Card>
        <Card title="Publish">
          <Publish hasEvent target={() => path`apps/${app}/channels/${channel}/messages`} />
        </Card>
      </div>
      <Card
        title="Who is there"
        more={
          <span class="muted number">{counts.data && format.full(counts.data.subscriptions)}</span>
        }
      >
        <Result
          result={sockets}
          what="Who is there is not shown."
          isEmpty={!there.length}
          empty={
            <Empty title="Nobody is subscribed.">
              The channel lives again with its first subscriber. What is published meanwhile reaches
              nobody.
            </Empty>
          }
        >
          <SocketsTable app={app} sockets={there} isWhole={isWhole} withUser />
        </Result>
      </Card>
    </>
  );
}
