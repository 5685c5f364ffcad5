// Who is here and where: the sign-in, the frame around all pages, and which of them is shown.
import { useEffect, useErrorBoundary, useRef, useState } from 'preact/hooks';
import { config } from './api.js';
import { setSignedIn } from './live.js';
import { Notices } from './notices.jsx';
import { AppPage } from './pages/app.jsx';
import { Apps } from './pages/apps.jsx';
import { ChannelPage } from './pages/channel.jsx';
import { DisconnectsPage } from './pages/disconnects.jsx';
import { Overview } from './pages/overview.jsx';
import { SignIn } from './pages/signin.jsx';
import { SocketPage } from './pages/socket.jsx';
import { SocketsPage } from './pages/sockets.jsx';
import { TryIt } from './pages/tryit.jsx';
import { UserPage } from './pages/user.jsx';
import { useRoute } from './route.js';
import { key } from './settings.js';
import { Shell } from './shell.jsx';
import { useShortcuts } from './shortcuts.jsx';
import { useStore } from './store.js';
import { Empty } from './ui.jsx';

const Lost = () => (
  <>
    <h1 tabIndex={-1}>Nothing here</h1>
    <Empty title="There is no such page.">
      <a href="#/">The overview</a> is where everything begins.
    </Empty>
  </>
);

const pages = {
  overview: { Page: Overview, title: () => 'Overview' },
  apps: { Page: Apps, title: () => 'Apps' },
  app: { Page: AppPage, title: ([app]) => app },
  disconnects: { Page: DisconnectsPage, title: ([app]) => `Disconnects of ${app}` },
  sockets: { Page: SocketsPage, title: ([app]) => `Sockets of ${app}` },
  channel: { Page: ChannelPage, title: ([app, channel]) => `${channel} – ${app}` },
  user: { Page: UserPage, title: ([app, user]) => `${user} – ${app}` },
  socket: { Page: SocketPage, title: ([app]) => `A socket of ${app}` },
  try: { Page: TryIt, title: () => 'Try it' },
  lost: { Page: Lost, title: () => 'Nothing here' },
};

/** Whoever comes to another page by keyboard or screen reader begins at its heading. */
function useArrival(hash, title) {
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${title} · gusher`;
    if (!isFirst.current) {
      scrollTo(0, 0);
      document.querySelector('h1')?.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [hash]);
}

/** A page that fails takes only itself along, and the next one is shown again. */
function Guarded({ Page, names, setup }) {
  const [error] = useErrorBoundary((e) => console.error(e));
  if (!error) return <Page names={names} setup={setup} />;
  return (
    <>
      <h1 tabIndex={-1}>This page cannot be shown</h1>
      <Empty title="That is a mistake of the console.">{error.message}</Empty>
    </>
  );
}

function SignedIn({ setup }) {
  const route = useRoute();
  const [isHelpShown, setHelpShown] = useState(false);
  const isThere = route.page !== 'try' || setup.dev;
  const { Page, title } = pages[isThere ? route.page : 'lost'];
  useArrival(route.hash, title(route.names));
  useShortcuts(() => setHelpShown(true));
  useEffect(() => {
    setSignedIn(true);
    return () => setSignedIn(false);
  }, []);
  return (
    <Shell {...{ setup, route, isHelpShown, setHelpShown }}>
      {/* Another name is another page, with nothing of the one before. */}
      <Guarded key={route.hash} Page={Page} names={route.names} setup={setup} />
    </Shell>
  );
}

/** Asks for config.json until there is an answer. */
function useSetup() {
  const [setup, setSetup] = useState(null);
  const [isAway, setAway] = useState(false);
  useEffect(() => {
    let timer;
    const look = () =>
      config().then(setSetup, () => {
        setAway(true);
        timer = setTimeout(look, 2000);
      });
    look();
    return () => clearTimeout(timer);
  }, []);
  return { setup, isAway };
}

export function App() {
  const { setup, isAway } = useSetup();
  const hasKey = useStore(key) !== null;
  if (!setup)
    return <p class="starting">{isAway ? 'The server cannot be reached, trying again …' : ''}</p>;
  return (
    <>
      {setup.keys && !hasKey ? <SignIn setup={setup} /> : <SignedIn setup={setup} />}
      <Notices />
    </>
  );
}
