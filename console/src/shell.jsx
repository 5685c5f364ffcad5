// The frame: where to go, how the connection is, and the page in the middle.
import { Icon, Mark } from './icons.jsx';
import { cluster, connection, retry } from './live.js';
import { useNow } from './hooks.js';
import { to } from './route.js';
import { key, setKey, setTheme, theme } from './settings.js';
import { Help } from './shortcuts.jsx';
import { useStore } from './store.js';

const themes = {
  auto: ['light', 'as the system'],
  light: ['dark', 'light'],
  dark: ['auto', 'dark'],
};

function ThemeButton() {
  const now = useStore(theme);
  const [next, name] = themes[now];
  const label = `Colours: ${name}. Change`;
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      title={label}
      onClick={() => setTheme(next)}
    >
      <Icon name={now} />
    </button>
  );
}

function Nav({ page, isDev }) {
  const places = [
    { name: 'Overview', href: to.overview(), icon: 'overview', isHere: page === 'overview' },
    {
      name: 'Apps',
      href: to.apps(),
      icon: 'apps',
      isHere: !['overview', 'try', 'lost'].includes(page),
    },
    ...(isDev ? [{ name: 'Try it', href: to.tryIt(), icon: 'try', isHere: page === 'try' }] : []),
  ];
  return (
    <nav aria-label="Console">
      <ul>
        {places.map(({ name, href, icon, isHere }) => (
          <li key={name}>
            <a href={href} aria-current={isHere ? 'page' : undefined}>
              <Icon name={icon} />
              <span>{name}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

const states = {
  off: ['idle', 'Paused'],
  opening: ['idle', 'Connecting'],
  open: ['good', 'Live'],
  waiting: ['bad', 'Not connected'],
  forbidden: ['warn', 'Not live'],
};

function State() {
  const { state, sentence } = useStore(connection);
  const missing = useStore(cluster)?.missing ?? 0;
  const [tone, text] = states[state];
  return (
    <p class="state" title={sentence}>
      <span class={`dot dot-${missing && tone === 'good' ? 'warn' : tone}`} />
      {missing ? `${text}, ${missing} silent` : text}
    </p>
  );
}

/** Only while there is no connection. It counts down for the eye, and is announced once. */
function Banner() {
  const { state, retryAt, again, sentence } = useStore(connection);
  useNow(500); // it counts down
  const isShown = state === 'waiting' || (state === 'opening' && again);
  const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
  return (
    <>
      <p class="hidden" role="status">
        {isShown ? 'Not connected, trying again.' : ''}
      </p>
      {isShown && (
        <section class="banner" aria-label="Connection">
          <span>
            {sentence}{' '}
            {state === 'waiting'
              ? `Not connected, trying again in ${seconds} s`
              : 'Not connected, trying again …'}
          </span>
          <button type="button" class="button quiet small" onClick={retry}>
            Try now
          </button>
        </section>
      )}
    </>
  );
}

/** Nodes that do not answer make everything here less than it is. */
function MissingNodes() {
  const missing = useStore(cluster)?.missing ?? 0;
  if (!missing) return null;
  return (
    <section class="banner banner-warn" aria-label="Missing nodes">
      {missing === 1 ? 'A node does not answer' : `${missing} nodes do not answer`}: what is theirs
      is not counted here.
    </section>
  );
}

export function Shell({ setup, route, isHelpShown, setHelpShown, children }) {
  const hasKey = useStore(key) !== null;
  return (
    <div class="shell">
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          document.getElementById('main').focus();
        }}
      >
        To the content
      </a>
      <header class="side">
        <a class="brand" href={to.overview()} aria-label="gusher, overview">
          <Mark />
          <span>gusher</span>
        </a>
        <Nav page={route.page} isDev={setup.dev} />
        <div class="side-end">
          <State />
          <p class="version">
            {setup.version}
            {setup.dev && ' · dev'}
          </p>
          <div class="side-tools">
            <ThemeButton />
            <button
              type="button"
              class="icon-button help-button"
              aria-label="Keyboard help"
              title="Keyboard help"
              onClick={() => setHelpShown(true)}
            >
              <Icon name="help" />
            </button>
            {hasKey && (
              <button
                type="button"
                class="icon-button"
                aria-label="Sign out"
                title="Sign out"
                onClick={() => setKey(null)}
              >
                <Icon name="out" />
              </button>
            )}
          </div>
        </div>
      </header>
      <div class="content">
        <Banner />
        <MissingNodes />
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
      {isHelpShown && <Help onClose={() => setHelpShown(false)} />}
    </div>
  );
}
