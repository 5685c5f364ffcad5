// The sockets of an app, anonymous ones among them: some, where there are very many.
import { askSome, path } from '../api.js';
import { Crumbs } from '../crumbs.jsx';
import * as format from '../format.js';
import { usePoll } from '../hooks.js';
import { SHOWN, SocketsTable } from '../sockets.jsx';
import { Empty, Result } from '../ui.jsx';

export function SocketsPage({ names: [app] }) {
  const result = usePoll(
    (signal) => askSome(path`apps/${app}/sockets`, SHOWN, { signal }),
    [],
    3000,
  );
  const { items: sockets = [], isWhole = true } = result.data ?? {};
  return (
    <>
      <Crumbs app={app} kind="Sockets" />
      <div class="page-head">
        <h1 tabIndex={-1}>Sockets</h1>
        <p class="page-facts">{result.data && format.atLeast(sockets.length, isWhole, 'socket')}</p>
      </div>
      <section class="card" aria-label="Sockets of the app">
        <Result
          result={result}
          what="Sockets are not shown."
          isEmpty={!sockets.length}
          empty={
            <Empty title="No socket is open.">
              A browser opens one with a token for this app; then it stands here, with whose it is,
              where it comes from and what waits for it.
            </Empty>
          }
        >
          <SocketsTable app={app} sockets={sockets} isWhole={isWhole} withUser />
        </Result>
      </section>
    </>
  );
}
