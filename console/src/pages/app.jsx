// An app: its channels, its users, and who has left lately.
import { useState } from 'preact/hooks';
import { ask, path } from '../api.js';
import { Crumbs } from '../crumbs.jsx';
import * as format from '../format.js';
import { useSettled, usePoll } from '../hooks.js';
import { confirm, toast } from '../notices.jsx';
import { to } from '../route.js';
import { Card, Count, Empty, Name, Refusal, Result, Search } from '../ui.jsx';
import { DisconnectsTable } from './disconnects.jsx';

const PAGE = 50;
const PAGE_MAX = 1000;
const LIVE_MS = 2000;

const query = (values) => new URLSearchParams(values).toString();

/** Names that contain what is searched for, in order, with live counts. */
function Found({ title, what, target, list, name, number, unit, link, empty }) {
  const [typed, setTyped] = useState('');
  const [limit, setLimit] = useState(PAGE);
  const contains = useSettled(typed);
  const result = usePoll(
    (signal) => ask(`${target()}?${query({ contains, limit })}`, { signal }),
    [contains, limit],
    LIVE_MS,
  );
  const { total = 0 } = result.data ?? {};
  const found = result.data?.[list] ?? [];
  return (
    <Card
      title={title}
      more={<span class="muted number">{result.data && format.full(total)}</span>}
    >
      <Search label={`Search ${what}`} value={typed} onInput={setTyped} />
      <Result
        result={result}
        what={`The ${what} are not shown.`}
        isEmpty={!found.length}
        empty={
          contains ? (
            <Empty title={`Nothing live has “${contains}” in its name.`}>
              Search looks for the very letters, capitals and all.
            </Empty>
          ) : (
            empty
          )
        }
      >
        <ul class="rows rows-long" aria-label={title}>
          {found.map((item) => (
            <li key={item[name]}>
              <a href={link(item[name])}>
                <Name text={item[name]} />
              </a>
              <span class="number" title={format.plural(item[number], unit)}>
                <Count n={item[number]} />
              </span>
            </li>
          ))}
        </ul>
        {total > found.length && (
          <p class="more">
            {format.full(found.length)} of {format.full(total)}.{' '}
            {limit < PAGE_MAX ? (
              <button
                type="button"
                class="button quiet small"
                onClick={() => setLimit(Math.min(limit * 4, PAGE_MAX))}
              >
                Show more
              </button>
            ) : (
              'Search to see others.'
            )}
          </p>
        )}
      </Result>
    </Card>
  );
}

async function kickAll(app, setRefused) {
  const reason = await confirm({
    title: 'Disconnect everybody?',
    text: `Every socket of this app is closed, on all nodes. Clients that may will come back.`,
    action: 'Disconnect all',
    typed: app,
  });
  if (reason === null) return;
  try {
    await ask(path`apps/${app}/kick`, { method: 'POST', body: { reason } });
    setRefused(null);
    toast('Every socket of the app is being closed.');
  } catch (error) {
    setRefused(error);
  }
}

export function AppPage({ names: [app], setup }) {
  const [refused, setRefused] = useState(null);
  const apps = usePoll((signal) => ask('apps', { signal }), [], LIVE_MS);
  const ended = usePoll((signal) => ask(path`apps/${app}/disconnects`, { signal }), [app], 4000);
  const me = apps.data?.find((a) => a.app === app);
  const tryIt = setup.dev && <a href={to.tryIt()}>Try it.</a>;
  return (
    <>
      <Crumbs>
        <Name text={app} />
      </Crumbs>
      <div class="page-head">
        <h1 tabIndex={-1}>
          <Name text={app} />
        </h1>
        <p class="page-facts">
          {apps.data && (
            <>
              <a href={to.sockets(app)}>{format.plural(me?.connections ?? 0, 'connection')}</a> ·{' '}
              {format.plural(me?.users ?? 0, 'user')}
            </>
          )}
        </p>
        <button type="button" class="button quiet danger" onClick={() => kickAll(app, setRefused)}>
          Disconnect all …
        </button>
      </div>
      <Refusal error={refused} what="Nobody was disconnected." />
      <div class="columns columns-two">
        <Found
          title="Channels"
          what="channels"
          target={() => path`apps/${app}/channels/search`}
          list="channels"
          name="channel"
          number="subscriptions"
          unit="subscription"
          link={(channel) => to.channel(app, channel)}
          empty={
            <Empty title="No channel is live.">
              A channel lives while somebody is subscribed to it; nothing has to be created. {tryIt}
            </Empty>
          }
        />
        <Found
          title="Users"
          what="users"
          target={() => path`apps/${app}/users/search`}
          list="users"
          name="user_id"
          number="connections"
          unit="connection"
          link={(user) => to.user(app, user)}
          empty={
            <Empty title="No user is online.">
              A user is online while a socket with the user’s name is open. Anonymous sockets are
              connections without a user. {tryIt}
            </Empty>
          }
        />
      </div>
      <Card title="Recent disconnects" more={<a href={to.disconnects(app)}>All, with reasons</a>}>
        <DisconnectsTable app={app} result={ended} most={8} />
      </Card>
    </>
  );
}
