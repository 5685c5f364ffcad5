// Real NATS servers on loopback ports: one, or several that are routed to each other.
import { freshFolder, writeFile } from './keys.mjs';
import { request } from './http.mjs';
import { onFreePorts } from './ports.mjs';
import { Daemon } from './process.mjs';
import { until } from './wait.mjs';

let nClusters = 0;

/** One server. pause, resume, kill, restart and stop are the Daemon's. */
export class NatsServer extends Daemon {
  constructor(name, port, monitorPort, config) {
    const file = writeFile(`${name}-${port}.conf`, config);
    super('nats-server', ['-c', file], (process) => this.#serves(process));
    this.name = name;
    this.port = port;
    this.monitorPort = monitorPort;
  }

  async #serves(process) {
    await process.line('stderr', /Server is ready/);
    await until(async () => {
      const reply = await request(this.#monitor, 'GET', '/healthz').catch(() => null);
      return reply?.status === 200;
    }, `${this.name} is healthy`);
    this.id = (await this.monitor('/varz')).server_id; // another one with each start
  }

  get #monitor() {
    return { host: '127.0.0.1', port: this.monitorPort };
  }

  get url() {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** The JSON behind /varz, /connz?subs=1, /routez, /subsz and so on. */
  async monitor(path) {
    const reply = await request(this.#monitor, 'GET', path);
    if (reply.status !== 200) throw new Error(`${this.name}: ${path}: ${reply.status}`);
    return reply.json();
  }

  /** The ids of the servers it has a route to, sorted; some versions have several routes to one. */
  async routes() {
    const { routes } = await this.monitor('/routez');
    return [...new Set((routes ?? []).map((route) => route.remote_id))].sort();
  }

  /** The connections of clients, each with its subscriptions. */
  async connections() {
    return (await this.monitor('/connz?subs=1')).connections ?? [];
  }
}

export class Nats {
  /**
   * Starts `servers` of them and waits until each has a route to all others.
   * - jetStream: on, with a store that goes with the test process
   * - advertise: false: clients are not told of the other servers, and stay at the addresses they
   *   were given (such as that of a proxy)
   * - config: further lines for the configuration of each
   */
  static async start({ servers = 1, jetStream = false, advertise = true, config = '' } = {}) {
    return onFreePorts(3 * servers, async (...ports) => {
      const nats = new Nats(ports, { jetStream, advertise, config });
      try {
        await Promise.all(nats.servers.map((server) => server.launch()));
        await nats.routed();
      } catch (error) {
        nats.killAll();
        throw error;
      }
      return nats;
    });
  }

  constructor(ports, { jetStream, advertise, config }) {
    const cluster = `test-${process.pid}-${nClusters++}`;
    const n = ports.length / 3;
    const routePorts = ports.slice(2 * n);
    this.servers = routePorts.map((routePort, i) => {
      const name = `${cluster}-${i}`;
      const lines = [
        `server_name: ${name}`,
        `listen: "127.0.0.1:${ports[i]}"`,
        `http: "127.0.0.1:${ports[n + i]}"`,
      ];
      if (n > 1) {
        const routes = routePorts.filter((port) => port !== routePort);
        lines.push(
          'cluster {',
          `  name: ${cluster}`,
          `  listen: "127.0.0.1:${routePort}"`,
          `  routes: [${routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')}]`,
          `  no_advertise: ${!advertise}`,
          '}',
        );
      }
      if (jetStream) lines.push(`jetstream { store_dir: "${freshFolder(name)}" }`);
      return new NatsServer(name, ports[i], ports[n + i], `${lines.join('\n')}\n${config}\n`);
    });
  }

  /** Waits until every server that runs has routes to all others that do. */
  async routed() {
    const up = this.servers.filter((server) => server.process?.isRunning);
    await until(async () => {
      const routes = await Promise.all(up.map((server) => server.routes()));
      return routes.every((ids) => ids.length === up.length - 1);
    }, 'routes between all NATS servers');
  }

  /** All addresses, for --nats. */
  get urls() {
    return this.servers.map((server) => server.url).join(',');
  }

  /** Asks the first server: with one there is no other. */
  monitor(path) {
    return this.servers[0].monitor(path);
  }

  /** All connections of clients to any server that runs. */
  async connections() {
    const up = this.servers.filter((server) => server.process.isRunning);
    return (await Promise.all(up.map((server) => server.connections()))).flat();
  }

  async pause() {
    await Promise.all(this.servers.map((server) => server.pause()));
  }

  resume() {
    for (const server of this.servers) server.resume();
  }

  async kill() {
    await Promise.all(this.servers.map((server) => server.kill()));
  }

  async restart() {
    await Promise.all(this.servers.map((server) => server.restart()));
    await this.routed();
  }

  async stop() {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  /** For what goes wrong: waits for nothing. */
  killAll() {
    for (const server of this.servers) server.process?.kill();
  }
}
