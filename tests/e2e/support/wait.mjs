// Waiting for conditions with a deadline. Nothing in these tests sleeps to hide a race.

/** Long enough for a loaded machine under a sanitizer: it is only spent when a test fails. */
export const DEADLINE_MS = 20_000;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The promise, or an error that says what was waited for in vain. */
export async function within(promise, what, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until `condition` gives something true; gives it. */
export async function until(condition, what, ms = DEADLINE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await pause(5);
  }
}

/** Calls fn(0), fn(1), .. fn(n - 1), at most `width` of them at a time. */
export async function inParallel(n, width, fn) {
  let next = 0;
  const lane = async () => {
    while (next < n) await fn(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, n) }, lane));
}

/** A queue whose reader waits for what has not come yet. */
export class Inbox {
  #items = [];
  #readers = [];
  #end = null;

  put(item) {
    const reader = this.#readers.shift();
    if (reader) reader.resolve(item);
    else this.#items.push(item);
  }

  /** Nothing will be put any more: readers who still wait are told why. */
  end(why) {
    this.#end ??= new Error(why);
    for (const reader of this.#readers.splice(0)) reader.reject(this.#end);
  }

  get length() {
    return this.#items.length;
  }

  next(what, ms = DEADLINE_MS) {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    if (this.#end) return Promise.reject(this.#end);
    let reader;
    const item = new Promise((resolve, reject) => {
      reader = { resolve, reject };
      this.#readers.push(reader);
    });
    return within(item, what, ms).catch((error) => {
      this.#readers = this.#readers.filter((other) => other !== reader);
      throw error;
    });
  }
}
