// The cluster at a glance.
import { useEffect } from 'preact/hooks';
import { ask } from '../api.js';
import { Bars, Chart, Sparkline } from '../chart.jsx';
import * as format from '../format.js';
import { byKind } from '../history.js';
import { useNow, usePoll } from '../hooks.js';
import { cluster, connection, hello, history } from '../live.js';
import { reasons, toneOf } from '../reasons.js';
import { to } from '../route.js';
import { useStore } from '../store.js';
import { Bytes, Card, Chip, Count, Empty, Loading, Name, Result, Since, Table } from '../ui.jsx';

const STATS_MS = 5000;

function Tile({ label, value, title, note, points, pick, tone }) {
  return (
    <div class={`tile tile-${tone ?? 'accent'}`}>
      <dt>{label}</dt>
      <dd>
        <span class="tile-value" title={title}>
          {value}
        </span>
        <span class="tile-note">{note}</span>
        {pick && <Sparkline {...{ points, pick, tone }} />}
      </dd>
    </div>
  );
}

const sum = (nodes, pick) => nodes.reduce((all, n) => all + (pick(n) ?? 0), 0);

function Tiles({ nodes, stats }) {
  const { points } = history;
  const last = points.at(-1);
  const slow = history.recent('slow');
  const refusals = history.recent('refusals') + history.recent('refused');
  const queued = sum(nodes, (n) => n.send_queue_bytes);
  const perPublish = last.publishes > 0 ? last.deliveries / last.publishes : null;
  return (
    <dl class="tiles">
      <Tile
        label="Connections"
        value={format.count(last.websockets)}
        title={format.full(last.websockets)}
        note={format.plural(sum(nodes, (n) => n.subscriptions), 'subscription')}
        points={points}
        pick={(p) => p.websockets}
        tone="green"
      />
      <Tile
        label="Users"
        value={format.count(stats?.users)}
        title={stats && format.full(stats.users)}
        note={stats ? `in ${format.plural(stats.apps, 'app')}` : ''}
        points={points}
        pick={(p) => p.users}
        tone="green"
      />
      <Tile
        label="Publishes a second"
        value={format.rate(last.publishes)}
        note={
          perPublish == null ? 'none at the moment' : `${format.rate(perPublish)} deliveries each`
        }
        points={points}
        pick={(p) => p.publishes}
        tone="violet"
      />
      <Tile
        label="Deliveries a second"
        value={format.rate(last.deliveries)}
        note={`${format.bytes(last.sent)}/s out`}
        points={points}
        pick={(p) => p.deliveries}
        tone="accent"
      />
      <Tile
        label="Slow sockets"
        value={format.count(slow)}
        note={queued ? `${format.bytes(queued)} waiting` : 'nothing waits'}
        points={points}
        pick={(p) => p.slow}
        tone={slow ? 'bad' : 'quiet'}
      />
      <Tile
        label="Refusals"
        value={format.count(refusals)}
        note="in 5 minutes"
        points={points}
        pick={(p) => p.refusals + p.refused}
        tone={refusals ? 'warn' : 'quiet'}
      />
    </dl>
  );
}

function Charts() {
  const { points } = history;
  return (
    <div class="charts">
      <Chart
        title="Deliveries a second"
        points={points}
        series={[{ pick: (p) => p.deliveries, tone: 'accent' }]}
        show={format.rate}
      />
      <Chart
        title="Publishes a second"
        points={points}
        series={[{ pick: (p) => p.publishes, tone: 'violet' }]}
        show={format.rate}
      />
      <Chart
        title="From publish to write"
        points={points}
        series={[
          { name: '99 %', pick: (p) => p.p99, tone: 'warn' },
          { name: 'half', pick: (p) => p.p50, tone: 'green' },
        ]}
        show={format.latency}
        least={0.0001}
      />
    </div>
  );
}

const busTones = { up: 'good', settling: 'warn', away: 'bad' };

function Node({ node, rates, now }) {
  return (
    <tr>
      <th scope="row">
        <code>{node.node}</code> <span class="muted">{node.host}</span>
      </th>
      <td>{node.roles.join(', ')}</td>
      <td>
        <Chip tone={busTones[node.bus] ?? 'calm'}>{node.bus}</Chip>
      </td>
      <td class="number">
        <Count n={node.websockets} />
      </td>
      <td class="number">{format.rate(rates?.deliveries)}</td>
      <td class="number">
        <Bytes n={node.send_queue_bytes} />
      </td>
      <td class="number">
        <Bytes n={node.resident_bytes} />
      </td>
      <td class="number" title={`of ${node.workers} workers`}>
        {rates?.cpu == null ? '–' : `${Math.round(rates.cpu * 100)} %`}
      </td>
      <td class="number">
        <Since s={node.started} now={now} />
      </td>
      <td class="number">{node.version}</td>
    </tr>
  );
}

const nodeHead = [
  'Node',
  'Roles',
  'Bus',
  { text: 'Sockets', class: 'number' },
  { text: 'Deliveries/s', class: 'number' },
  { text: 'Queued', class: 'number' },
  { text: 'Memory', class: 'number' },
  { text: 'CPU', class: 'number' },
  { text: 'Up for', class: 'number' },
  { text: 'Version', class: 'number' },
];

function Nodes({ nodes, now }) {
  const rates = history.points.at(-1).byNode;
  return (
    <Card title="Nodes" more={<span class="muted">{nodes.length}</span>}>
      <Table label="Nodes" head={nodeHead}>
        {nodes.map((node) => (
          <Node key={node.node} node={node} rates={rates.get(node.node)} now={now} />
        ))}
      </Table>
    </Card>
  );
}

function Ends({ nodes }) {
  const rows = byKind(nodes, (n) => n.closes);
  return (
    <Card title="How sockets ended" more={<span class="muted">since the start</span>}>
      {rows.length ? (
        <Bars rows={rows} label="Sockets that ended, by reason" toneOf={toneOf} about={reasons} />
      ) : (
        <Empty title="No socket has ended yet.">
          Each end is counted here by its reason, and an app’s page tells them one by one.
        </Empty>
      )}
    </Card>
  );
}

function Refusals({ nodes }) {
  const refused = sum(nodes, (n) => n.publishes_refused);
  const rows = byKind(nodes, (n) => n.refusals);
  if (refused) rows.unshift(['publishes', refused]);
  return (
    <Card title="Refusals by kind" more={<span class="muted">since the start</span>}>
      {rows.length ? (
        <Bars rows={rows} label="Refusals, by the limit that was met" toneOf={() => 'warn'} />
      ) : (
        <Empty title="Nothing was refused.">
          Every limit has a name. When one is met it is counted here under that name.
        </Empty>
      )}
    </Card>
  );
}

function TopApps({ setup }) {
  const apps = usePoll((signal) => ask('apps', { signal }), [], STATS_MS);
  const most = (apps.data ?? []).toSorted((a, b) => b.connections - a.connections).slice(0, 6);
  return (
    <Card title="Apps" more={<a href={to.apps()}>All apps</a>}>
      <Result
        result={apps}
        what="Apps are not shown."
        isEmpty={!most.length}
        empty={
          <Empty title="No app is live.">
            An app is there as soon as a socket with its key is open.{' '}
            {setup.dev && <a href={to.tryIt()}>Try it.</a>}
          </Empty>
        }
      >
        <ul class="rows">
          {most.map(({ app, connections, users }) => (
            <li key={app}>
              <a href={to.app(app)}>
                <Name text={app} />
              </a>
              <span class="number muted">{format.plural(users, 'user')}</span>
              <span class="number">
                <Count n={connections} />
              </span>
            </li>
          ))}
        </ul>
      </Result>
    </Card>
  );
}

/** What a key of some apps may see. */
function OwnApps({ stats, sentence, setup }) {
  return (
    <>
      <p class="note">
        <strong>This key does not see the nodes.</strong>{' '}
        {sentence ?? 'It is for some apps only: below is what is theirs.'}
      </p>
      <dl class="tiles tiles-few">
        <Tile
          label="Connections"
          value={format.count(stats?.connections)}
          note="of this key’s apps"
          tone="green"
        />
        <Tile label="Users" value={format.count(stats?.users)} tone="green" />
        <Tile label="Apps" value={format.count(stats?.apps)} />
      </dl>
      <TopApps setup={setup} />
    </>
  );
}

function Whole({ nodes, stats, setup }) {
  const now = useNow(1000);
  useEffect(() => {
    history.users = stats?.users ?? null;
    return () => {
      history.users = null;
    };
  }, [stats]);
  return (
    <>
      <Tiles nodes={nodes} stats={stats} />
      <Charts />
      <Nodes nodes={nodes} now={now} />
      <div class="columns">
        <TopApps setup={setup} />
        <Ends nodes={nodes} />
        <Refusals nodes={nodes} />
      </div>
    </>
  );
}

export function Overview({ setup }) {
  const seen = useStore(cluster);
  const greeting = useStore(hello);
  const { state, sentence } = useStore(connection);
  const stats = usePoll((signal) => ask('stats', { signal }), [], STATS_MS);
  const isLimited = greeting?.nodes === false || state === 'forbidden';
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Overview</h1>
      </div>
      {isLimited ? (
        <OwnApps stats={stats.data} sentence={sentence} setup={setup} />
      ) : seen ? (
        <Whole nodes={seen.nodes} stats={stats.data} setup={setup} />
      ) : (
        <Loading />
      )}
    </>
  );
}
