// Which sockets have ended within the last 15 minutes, and why.
import { useState } from 'preact/hooks';
import { ask, path } from '../api.js';
import { Crumbs } from '../crumbs.jsx';
import * as format from '../format.js';
import { useNow, usePoll } from '../hooks.js';
import { reasons } from '../reasons.js';
import { to } from '../route.js';
import { Empty, Reason, Result, Since, Table, User } from '../ui.jsx';

const SHOWN = 500;
const head = [
  'Ended',
  'Reason',
  'User',
  { text: 'Was open', class: 'number' },
  'Said',
  { text: 'Code', class: 'number' },
];

function Row({ app, end, now }) {
  return (
    <tr>
      <td>
        <a href={to.socket(app, end.socket_id)}>
          <Since s={end.ended} now={now} suffix=" ago" />
          <span class="hidden">, the socket</span>
        </a>
      </td>
      <td>
        <Reason word={end.reason} />
      </td>
      <td>
        <User user={end.user_id} href={to.user(app, end.user_id)} />
      </td>
      <td class="number" title={`since ${format.moment(end.since)}`}>
        {format.duration(end.ended - end.since)}
      </td>
      <td class="cut" title={end.detail}>
        {end.detail || <span class="muted">nothing</span>}
      </td>
      <td class="number">{end.code || '–'}</td>
    </tr>
  );
}

/** `result` of the query; `most`: the latest so many of them. */
export function DisconnectsTable({ app, result, most = SHOWN, reason = '' }) {
  const now = useNow(1000);
  const all = (result.data ?? [])
    .filter((end) => !reason || end.reason === reason)
    .toSorted((a, b) => b.ended - a.ended);
  return (
    <Result
      result={result}
      what="Disconnects are not shown."
      isEmpty={!all.length}
      empty={
        <Empty title="No socket has ended within the last 15 minutes.">
          When one does, this tells when, why, and what the client was told.
        </Empty>
      }
    >
      <Table label="Disconnects" head={head} hasLinks>
        {all.slice(0, most).map((end) => (
          <Row key={`${end.socket_id} ${end.ended}`} {...{ app, end, now }} />
        ))}
      </Table>
      {all.length > most && most === SHOWN && (
        <p class="more">
          The latest {SHOWN} of {format.full(all.length)}.
        </p>
      )}
    </Result>
  );
}

const countBy = (ends) => {
  const all = new Map();
  for (const { reason } of ends) all.set(reason, (all.get(reason) ?? 0) + 1);
  return [...all].sort(([, a], [, b]) => b - a);
};

function Filter({ counts, total, reason, setReason }) {
  const options = [['', total], ...counts];
  return (
    <fieldset class="filter">
      <legend class="hidden">Reason</legend>
      {options.map(([word, n]) => (
        <label key={word} class="filter-option">
          <input
            type="radio"
            name="reason"
            value={word}
            checked={reason === word}
            onChange={() => setReason(word)}
          />
          <span>
            {word || 'all'} <b>{format.count(n)}</b>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

export function DisconnectsPage({ names: [app] }) {
  const [reason, setReason] = useState('');
  const result = usePoll((signal) => ask(path`apps/${app}/disconnects`, { signal }), [app], 3000);
  const counts = countBy(result.data ?? []);
  return (
    <>
      <Crumbs app={app} kind="Disconnects" />
      <div class="page-head">
        <h1 tabIndex={-1}>Disconnects</h1>
        <p class="page-facts">within the last 15 minutes</p>
      </div>
      {counts.length > 0 && (
        <Filter {...{ counts, total: result.data.length, reason, setReason }} />
      )}
      {reason && (
        <p class="note" role="status">
          <strong>{reason}</strong>:{' '}
          {reasons[reason] ?? 'A reason that this console does not know.'}
        </p>
      )}
      <section class="card" aria-label="Sockets that ended">
        <DisconnectsTable {...{ app, result, reason }} />
      </section>
    </>
  );
}
