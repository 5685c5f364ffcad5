// Which page the address names: #/apps/A/channels/C. Names are any text, so each is encoded.
import { useEffect, useState } from 'preact/hooks';

const encode = (name) => encodeURIComponent(name);

export const to = {
  overview: () => '#/',
  apps: () => '#/apps',
  app: (app) => `#/apps/${encode(app)}`,
  disconnects: (app) => `#/apps/${encode(app)}/disconnects`,
  sockets: (app) => `#/apps/${encode(app)}/sockets`,
  channel: (app, channel) => `#/apps/${encode(app)}/channels/${encode(channel)}`,
  user: (app, user) => `#/apps/${encode(app)}/users/${encode(user)}`,
  socket: (app, socket) => `#/apps/${encode(app)}/sockets/${encode(socket)}`,
  tryIt: () => '#/try',
};

const pages = [
  ['overview', /^\/?$/],
  ['apps', /^\/apps$/],
  ['app', /^\/apps\/([^/]+)$/],
  ['disconnects', /^\/apps\/([^/]+)\/disconnects$/],
  ['sockets', /^\/apps\/([^/]+)\/sockets$/],
  ['channel', /^\/apps\/([^/]+)\/channels\/([^/]+)$/],
  ['user', /^\/apps\/([^/]+)\/users\/([^/]+)$/],
  ['socket', /^\/apps\/([^/]+)\/sockets\/([^/]+)$/],
  ['try', /^\/try$/],
];

/** { page, names }; page is 'lost' when there is none. */
export function parse(hash) {
  const path = hash.replace(/^#/, '');
  try {
    for (const [page, pattern] of pages) {
      const match = pattern.exec(path);
      if (match) return { page, names: match.slice(1).map(decodeURIComponent) };
    }
  } catch {
    // A broken escape names nothing.
  }
  return { page: 'lost', names: [] };
}

export function useRoute() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const look = () => setHash(location.hash);
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, []);
  return { ...parse(hash), hash };
}
