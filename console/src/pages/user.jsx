// A user: the sockets, what they may hear and what they hear, and what an operator can do.
import { useState } from 'preact/hooks';
import { ask, askSome, path } from '../api.js';
import { Crumbs } from '../crumbs.jsx';
import * as format from '../format.js';
import { usePoll } from '../hooks.js';
import { Publish } from '../publish.jsx';
import { to } from '../route.js';
import { AddChannel, kick, SHOWN, SocketsTable } from '../sockets.jsx';
import { Card, Empty, Name, Names, Refusal, Result } from '../ui.jsx';
import { DisconnectsTable } from './disconnects.jsx';

/** The names that are told of any of the sockets, and how many there are with those that are not told:
 *  exact for one socket, about for several. */
function union(sockets, list) {
  const names = [...new Set(sockets.flatMap((s) => s[list]))].sort();
  const untold = Math.max(...sockets.map((s) => s[`n_${list}`] - s[list].length));
  return { names, n: names.length + untold };
}

function Permissions({ app, sockets }) {
  return (
    <div class="columns columns-two">
      <Card title="Subscriptions">
        <Names
          label="Subscriptions"
          {...union(sockets, 'subscriptions')}
          link={(channel) => to.channel(app, channel)}
          none="Subscribed to nothing."
        />
      </Card>
      <Card title="Grants">
        <Names label="Grants" {...union(sockets, 'grants')} none="May subscribe to nothing." />
      </Card>
    </div>
  );
}

export function UserPage({ names: [app, user] }) {
  const [refused, setRefused] = useState(null);
  const result = usePoll(
    (signal) => askSome(path`apps/${app}/users/${user}/sockets`, SHOWN, { signal }),
    [],
    2000,
  );
  const ended = usePoll(
    (signal) => ask(path`apps/${app}/users/${user}/disconnects`, { signal }),
    [],
    3000,
  );
  const { items: sockets = [], isWhole = true } = result.data ?? {};
  const disconnect = async () => {
    setRefused(null);
    try {
      await kick({
        title: 'Disconnect this user?',
        text: `All sockets of ${user} in ${app} are closed. A client that may will come back.`,
        target: path`apps/${app}/users/${user}/kick`,
      });
    } catch (error) {
      setRefused(error);
    }
    result.reload();
  };
  return (
    <>
      <Crumbs app={app} kind="User" />
      <div class="page-head">
        <h1 tabIndex={-1}>
          <Name text={user} />
        </h1>
        <p class="page-facts">
          {result.data &&
            (sockets.length ? format.atLeast(sockets.length, isWhole, 'socket') : 'offline')}
        </p>
        <button type="button" class="button quiet danger" onClick={disconnect}>
          Disconnect …
        </button>
      </div>
      <Refusal error={refused} what="Nobody was disconnected." />
      <Card title="Sockets">
        <Result
          result={result}
          what="Sockets are not shown."
          isEmpty={!sockets.length}
          empty={
            <Empty title="This user is offline.">
              A user is online while a socket with the user’s name is open. How the last ones ended
              is told below.
            </Empty>
          }
        >
          <SocketsTable app={app} sockets={sockets} isWhole={isWhole} />
        </Result>
      </Card>
      {sockets.length > 0 && <Permissions app={app} sockets={sockets} />}
      <div class="columns columns-two">
        <Card title="Add a channel">
          <AddChannel app={app} user={user} />
        </Card>
        <Card title="Send a message">
          <Publish target={() => path`apps/${app}/users/${user}/messages`} submit="Send" rows={2} />
        </Card>
      </div>
      <Card title="Recent disconnects">
        <DisconnectsTable app={app} result={ended} />
      </Card>
    </>
  );
}
