// A value that views look at: whoever uses it is drawn anew when it changes.
import { useEffect, useState } from 'preact/hooks';

export class Store {
  #value;
  #readers = new Set();

  constructor(value) {
    this.#value = value;
  }

  get() {
    return this.#value;
  }

  set(value) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const reader of [...this.#readers]) reader(value);
  }

  /** Calls `reader` at each change; gives what ends that. */
  watch(reader) {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }
}

/** The value of a store, as a hook. */
export function useStore(store) {
  const [, redraw] = useState(0);
  useEffect(() => {
    const value = store.get();
    const end = store.watch(() => redraw((n) => n + 1));
    // It may have changed between drawing and here.
    if (store.get() !== value) redraw((n) => n + 1);
    return end;
  }, [store]);
  return store.get();
}
