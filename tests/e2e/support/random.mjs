// Random choices that can be repeated: the seed is printed, and SEED=n takes the same road again.

export class Random {
  /** The choices of test `t`. */
  static of(t) {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
    t.diagnostic(`SEED=${seed}`);
    return new Random(seed);
  }

  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** Choices for the i-th of things that run side by side: the same whatever their pace. */
  fork(i) {
    return new Random(this.state ^ Math.imul(i + 1, 0x9e3779b1));
  }

  /** mulberry32: 32 bits of state are plenty for choosing test steps. */
  #next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (z ^ (z >>> 14)) >>> 0;
  }

  /** A whole number from 0 to n - 1. */
  below(n) {
    return this.#next() % n;
  }

  of(list) {
    return list[this.below(list.length)];
  }

  bytes(n) {
    return Buffer.from(Array.from({ length: n }, () => this.below(256)));
  }
}
