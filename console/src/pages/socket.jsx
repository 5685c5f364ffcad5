// A socket: all that its worker knows of it, while it is there; how it ended, for a while after.
import { useState } from 'preact/hooks';
import { ask, path } from '../api.js';
import { Crumbs } from '../crumbs.jsx';
import * as format from '../format.js';
import { useNow, usePoll } from '../hooks.js';
import { Publish } from '../publish.jsx';
import { reasons } from '../reasons.js';
import { to } from '../route.js';
import { AddChannel, kick, Queue } from '../sockets.jsx';
import { Story } from '../story.jsx';
import {
  Card,
  Copy,
  Empty,
  Fact,
  Facts,
  Loading,
  Names,
  Reason,
  Refusal,
  Since,
  User,
} from '../ui.jsx';

function About({ app, socket }) {
  const now = useNow(1000);
  return (
    <Card title="Connection">
      <Facts>
        <Fact name="User">
          <User user={socket.user_id} href={to.user(app, socket.user_id)} />
        </Fact>
        <Fact name="Address">{socket.address || 'unknown'}</Fact>
        <Fact name="Node">
          <code>{socket.node}</code>
        </Fact>
        <Fact name="Open for">
          <Since s={socket.since} now={now} />,{' '}
          <span class="muted">since {format.moment(socket.since)}</span>
        </Fact>
        <Fact name="Queue">
          <Queue socket={socket} />
        </Fact>
      </Facts>
    </Card>
  );
}

const counted = (n) => <span class="muted number">{format.full(n)}</span>;

function Lists({ app, socket }) {
  return (
    <div class="columns columns-two">
      <Card title="Subscriptions" more={counted(socket.n_subscriptions)}>
        <Names
          label="Subscriptions"
          names={socket.subscriptions}
          n={socket.n_subscriptions}
          link={(channel) => to.channel(app, channel)}
          none="Subscribed to nothing."
        />
      </Card>
      <Card title="Grants" more={counted(socket.n_grants)}>
        <Names
          label="Grants"
          names={socket.grants}
          n={socket.n_grants}
          none="May subscribe to nothing."
        />
        {socket.n_remotes > 0 && (
          <>
            <h3>Remote commands</h3>
            <Names label="Remote commands" names={socket.remotes} n={socket.n_remotes} />
          </>
        )}
      </Card>
    </div>
  );
}

/** It is not there any more, or never was. */
function Gone({ app, id }) {
  const now = useNow(1000);
  const ended = usePoll((signal) => ask(path`apps/${app}/disconnects`, { signal }), [], 2000);
  const end = ended.data?.find((e) => e.socket_id === id);
  if (ended.data === undefined && !ended.error) return <Loading />;
  if (!end)
    return (
      <Empty title="This socket is not there.">
        It ended more than 15 minutes ago, or there never was one of this id.
      </Empty>
    );
  return (
    <Card title="This socket has ended">
      <Facts>
        <Fact name="Ended">
          <Since s={end.ended} now={now} suffix=" ago" />, after{' '}
          {format.duration(end.ended - end.since)}
        </Fact>
        <Fact name="Reason">
          <Reason word={end.reason} /> {reasons[end.reason]}
        </Fact>
        <Fact name="Was told">
          {end.detail || 'nothing'} {end.code ? `(${end.code})` : ''}
        </Fact>
        <Fact name="User">
          <User user={end.user_id} href={to.user(app, end.user_id)} />
        </Fact>
      </Facts>
    </Card>
  );
}

/** The page asks for the story of any id; of one that nobody knows the rest says enough. */
const Ended = ({ app, id }) => (
  <>
    <Gone app={app} id={id} />
    <Story app={app} id={id} />
  </>
);

export function SocketPage({ names: [app, id] }) {
  const [refused, setRefused] = useState(null);
  const {
    data: socket,
    error,
    reload,
  } = usePoll((signal) => ask(path`apps/${app}/sockets/${id}`, { signal }), [], 1500);
  const disconnect = async () => {
    setRefused(null);
    try {
      await kick({
        title: 'Disconnect this socket?',
        text: 'The socket is closed; others of its user stay. A client that may will come back.',
        target: path`apps/${app}/sockets/${id}/kick`,
      });
    } catch (e) {
      setRefused(e);
    }
    reload();
  };
  return (
    <>
      <Crumbs app={app} kind="Socket" />
      <div class="page-head">
        <h1 tabIndex={-1} class="h1-code">
          {id}
        </h1>
        <Copy text={id} label="Copy the socket’s id" />
        {socket && (
          <button type="button" class="button quiet danger" onClick={disconnect}>
            Disconnect …
          </button>
        )}
      </div>
      <Refusal error={refused} what="Nobody was disconnected." />
      {error?.status === 404 ? (
        <Ended app={app} id={id} />
      ) : error ? (
        <Refusal error={error} what="The socket is not shown." />
      ) : socket ? (
        <>
          <About app={app} socket={socket} />
          <Lists app={app} socket={socket} />
          <div class="columns columns-two">
            {socket.user_id && (
              <Card title="Add a channel to its user">
                <AddChannel app={app} user={socket.user_id} />
              </Card>
            )}
            <Card title="Send a message">
              <Publish
                target={() => path`apps/${app}/sockets/${id}/messages`}
                submit="Send"
                rows={2}
              />
            </Card>
          </div>
          <Story app={app} id={id} />
        </>
      ) : (
        <Loading />
      )}
    </>
  );
}
