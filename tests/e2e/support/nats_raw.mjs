// A client of NATS that is not one of us: it listens to all there is, and publishes what it likes.
import net from 'node:net';
import { once } from 'node:events';
import { within } from './wait.mjs';

export class RawNats {
  /** Connected to a server on this port, and understood by it. */
  static async connect(port) {
    const raw = new RawNats(net.connect({ host: '127.0.0.1', port, noDelay: true }));
    raw.socket.write('CONNECT {"verbose":false,"pedantic":false}\r\n');
    await raw.settled();
    return raw;
  }

  constructor(socket) {
    this.socket = socket;
    this.heard = []; // { subject, body }
    this.pongs = 0;
    this.wake = () => {};
    let rest = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      rest = this.#read(Buffer.concat([rest, chunk]));
      this.wake();
    });
    socket.on('error', () => this.wake());
  }

  /** Takes what is whole, gives what is left. */
  #read(bytes) {
    for (;;) {
      const end = bytes.indexOf('\r\n');
      if (end < 0) return bytes;
      const words = bytes.toString('latin1', 0, end).split(' ');
      let used = end + 2;
      if (words[0] === 'MSG') {
        const len = Number(words.at(-1));
        if (bytes.length < used + len + 2) return bytes;
        this.heard.push({ subject: words[1], body: Buffer.from(bytes.subarray(used, used + len)) });
        used += len + 2;
      } else if (words[0] === 'PING') {
        this.socket.write('PONG\r\n');
      } else if (words[0] === 'PONG') {
        this.pongs++;
      } else if (words[0] === '-ERR') {
        this.error = words.join(' ');
      }
      bytes = bytes.subarray(used);
    }
  }

  /** The server has read all that was written. */
  async settled() {
    const { pongs } = this;
    this.socket.write('PING\r\n');
    const answered = async () => {
      while (this.pongs === pongs) {
        if (this.error || this.socket.destroyed) throw new Error(`NATS: ${this.error ?? 'closed'}`);
        await new Promise((resolve) => (this.wake = resolve));
      }
    };
    await within(answered(), 'a PONG of NATS');
  }

  async listen(subject) {
    this.socket.write(`SUB ${subject} 1\r\n`);
    await this.settled();
  }

  /** At the pace at which NATS takes it. */
  async publish(subject, body) {
    const more = this.socket.write(
      Buffer.concat([Buffer.from(`PUB ${subject} ${body.length}\r\n`), body, Buffer.from('\r\n')]),
    );
    if (!more) await within(once(this.socket, 'drain'), 'NATS takes more');
  }

  end() {
    this.socket.destroy();
  }
}
