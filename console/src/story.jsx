// What has happened to a socket, there or not: what its worker's flight recorder still has.
import { ask, path } from './api.js';
import * as format from './format.js';
import { usePoll } from './hooks.js';
import { Card, Empty, Result, Table } from './ui.jsx';

/** Ours in words; the others are the events of answers, as the client has read them. */
const words = {
  opened: 'Opened, from',
  closed: 'Closed',
  grant_added: 'A backend added the grant',
  grants_replaced: 'A backend replaced its grants',
  left_out: 'Answers that were too many to be kept',
  left_out: 'Answers that were too many to note',
};

const Row = ({ event, detail, time }) => (
  <tr>
    <td>
      <time class="number" title={format.moment(time / 1000)}>
        {format.timeOfDay(time)}
      </time>
    </td>
    <td>{words[event] ?? <code>{event}</code>}</td>
    <td class="cut" title={detail}>
      <code>{detail}</code>
    </td>
  </tr>
);

export function Story({ app, id }) {
  const result = usePoll(
    (signal) => ask(path`apps/${app}/sockets/${id}/events`, { signal }),
    [app, id],
    1500,
  );
  const events = (result.data ?? []).toReversed();
  return (
    <Card title="What has happened" more={<span class="muted">the latest first</span>}>
      <Result
        result={result}
        what="What has happened is not shown."
        isEmpty={!events.length}
        empty={
          <Empty title="Nothing is known of it any more.">
            Events are kept for 15 minutes, of so many sockets as fit.
          </Empty>
        }
      >
        <Table label="Events" head={['Time', 'Event', 'More']}>
          {events.map((e) => (
            <Row key={e.n} {...e} />
          ))}
        </Table>
      </Result>
    </Card>
  );
}
