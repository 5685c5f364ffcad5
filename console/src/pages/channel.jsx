// A channel: its messages as they go out, who is there, and a box to publish to it.
import { useEffect } from 'preact/hooks';
import { ask, path } from '../api.js';
import { Crumbs } from '../crumbs.jsx';
import * as format from '../format.js';
import { usePoll } from '../hooks.js';
import { connection, follow } from '../live.js';
import { fromEvent, Messages, useMessages } from '../messages.jsx';
import { Publish } from '../publish.jsx';
import { SocketsTable } from '../sockets.jsx';
import { useStore } from '../store.js';
import { Card, Empty, Name, Result } from '../ui.jsx';

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
  const sockets = usePoll(
    (signal) => ask(path`apps/${app}/channels/${channel}/sockets`, { signal }),
    [],
    2500,
  );
  const there = sockets.data ?? [];
  const users = new Set(there.map((s) => s.user_id).filter(Boolean)).size;
  return (
    <>
      <Crumbs app={app} kind="Channel" />
      <div class="page-head">
        <h1 tabIndex={-1}>
          <Name text={channel} />
        </h1>
        <p class="page-facts">
          {sockets.data &&
            `${format.plural(there.length, 'subscription')} · ${format.plural(users, 'user')}`}
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
        more={<span class="muted number">{sockets.data && format.full(there.length)}</span>}
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
          <SocketsTable app={app} sockets={there} withUser />
        </Result>
      </Card>
    </>
  );
}
