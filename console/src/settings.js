// What this browser remembers: the key, and how the console is to look. Storage may be forbidden;
// then all of it lasts as long as the page.
import { Store } from './store.js';

function read(storage, name) {
  try {
    return globalThis[storage].getItem(`gusher.${name}`);
  } catch {
    return null;
  }
}

function write(storage, name, value) {
  try {
    if (value === null) globalThis[storage].removeItem(`gusher.${name}`);
    else globalThis[storage].setItem(`gusher.${name}`, value);
  } catch {
    // Not remembered, then.
  }
}

/** The master key, or null. */
export const key = new Store(read('sessionStorage', 'key') ?? read('localStorage', 'key'));

/** `keep`: also when the browser is closed. */
export function setKey(value, keep = false) {
  write('sessionStorage', 'key', keep ? null : value);
  write('localStorage', 'key', keep ? value : null);
  key.set(value);
}

/** 'auto', 'light' or 'dark'. */
export const theme = new Store(read('localStorage', 'theme') ?? 'auto');

export function setTheme(value) {
  write('localStorage', 'theme', value === 'auto' ? null : value);
  theme.set(value);
  applyTheme();
}

export function applyTheme() {
  const value = theme.get();
  if (value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
}

/** Whether single keys are shortcuts. */
export const shortcuts = new Store(read('localStorage', 'shortcuts') !== 'off');

export function setShortcuts(on) {
  write('localStorage', 'shortcuts', on ? null : 'off');
  shortcuts.set(on);
}
