// A client beside those that mean harm: it must notice nothing.
import assert from 'node:assert/strict';
import { serverTest } from './gusher.mjs';

/** Longer than any hiccup of a loaded machine, shorter than an attack that works. */
export const NOTICE_MS = 5000;

/** The second client: it gets one numbered message after the other, at once and in order. */
export class Witness {
  static async join(server) {
    const witness = new Witness();
    witness.server = server;
    witness.client = await server.login({ app: 'witness', user: 'w' });
    await witness.client.subscribe('w');
    witness.stopped = witness.#watch();
    // Its failure is told by leave(); until then it is no unhandled one.
    witness.stopped.catch(() => {});
    return witness;
  }

  async #watch() {
    for (this.n = 0; !this.leaving || this.n < 10; this.n++) {
      const began = Date.now();
      const text = await this.server.push('witness', 'w', 'tick', String(this.n));
      assert.equal(await this.client.next(`message ${this.n} of the witness`), text);
      const took = Date.now() - began;
      assert.ok(took < NOTICE_MS, `message ${this.n} of the witness took ${took} ms`);
    }
  }

  async leave() {
    this.leaving = true;
    await this.stopped;
    assert.deepEqual(await this.server.ask('/witness/online'), ['w']);
    await this.server.assertSilent(this.client, 'witness');
  }
}

/** A test with a server and a witness of its own. */
export function hostileTest(name, flags, body) {
  serverTest(name, flags, async (server, t) => {
    const witness = await Witness.join(server);
    await body(server, t);
    await witness.leave();
  });
}
