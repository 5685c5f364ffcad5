// Where a page lies.
import { to } from './route.js';
import { Name } from './ui.jsx';

export function Crumbs({ app, kind, children }) {
  return (
    <nav class="crumbs" aria-label="Place">
      <ol>
        <li>
          <a href={to.apps()}>Apps</a>
        </li>
        {app !== undefined && (
          <li>
            <a href={to.app(app)}>
              <Name text={app} />
            </a>
          </li>
        )}
        <li>
          <span aria-current="page">{kind ?? children}</span>
        </li>
      </ol>
    </nav>
  );
}
