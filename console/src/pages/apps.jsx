import { useState } from 'preact/hooks';
import { ask } from '../api.js';
import { usePoll } from '../hooks.js';
import { to } from '../route.js';
import { Count, Empty, Name, Result, Search, Table } from '../ui.jsx';

const head = ['App', { text: 'Connections', class: 'number' }, { text: 'Users', class: 'number' }];

export function Apps({ setup }) {
  const [wanted, setWanted] = useState('');
  const result = usePoll((signal) => ask('apps', { signal }), [], 3000);
  const apps = (result.data ?? []).filter(({ app }) => app.includes(wanted));
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Apps</h1>
        <Search label="Search apps" value={wanted} onInput={setWanted} />
      </div>
      <section class="card" aria-label="Apps">
        <Result
          result={result}
          what="Apps are not shown."
          isEmpty={!apps.length}
          empty={
            wanted ? (
              <Empty title={`No live app has “${wanted}” in its name.`}>
                Search looks for the very letters, capitals and all.
              </Empty>
            ) : (
              <Empty title="No app is live.">
                An app needs no setting up: it is there while a socket with its key is open.{' '}
                {setup.dev && <a href={to.tryIt()}>Open one to try it.</a>}
              </Empty>
            )
          }
        >
          <Table label="Apps" head={head} hasLinks>
            {apps.map(({ app, connections, users }) => (
              <tr key={app}>
                <th scope="row">
                  <a href={to.app(app)}>
                    <Name text={app} />
                  </a>
                </th>
                <td class="number">
                  <Count n={connections} />
                </td>
                <td class="number">
                  <Count n={users} />
                </td>
              </tr>
            ))}
          </Table>
        </Result>
      </section>
    </>
  );
}
