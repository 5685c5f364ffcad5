// Keys: `/` to the search field, `?` for help. Single keys can be turned off, as they are in the way
// of some who speak to their computer (WCAG 2.1.4).
import { useEffect } from 'preact/hooks';
import { to } from './route.js';
import { setShortcuts, shortcuts } from './settings.js';
import { useStore } from './store.js';
import { Dialog } from './ui.jsx';

const isTyping = (element) => element?.matches?.('input, textarea, select, [contenteditable]');

function focusSearch() {
  const field = document.querySelector('main [data-search]');
  field?.focus();
  field?.select();
  return Boolean(field);
}

/** A page without a search field leads to the one of the apps. */
function search() {
  if (focusSearch()) return;
  location.hash = to.apps();
  // Behind the page's arrival, which takes the focus first.
  addEventListener('hashchange', () => setTimeout(focusSearch, 50), { once: true });
}

export function useShortcuts(help) {
  useEffect(() => {
    const press = (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
      if (!shortcuts.get() || isTyping(e.target) || document.querySelector('dialog[open]')) return;
      if (e.key === '/') search();
      else if (e.key === '?') help();
      else return;
      e.preventDefault();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
}

export function Help({ onClose }) {
  const isOn = useStore(shortcuts);
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="keys">
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>search on this page</dd>
        <dt>
          <kbd>?</kbd>
        </dt>
        <dd>this help</dd>
        <dt>
          <kbd>Ctrl</kbd> <kbd>Enter</kbd>
        </dt>
        <dd>publish, in the publish box</dd>
        <dt>
          <kbd>Esc</kbd>
        </dt>
        <dd>close a dialog</dd>
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={isOn}
          onChange={(e) => setShortcuts(e.currentTarget.checked)}
        />
        Single keys are shortcuts
      </label>
      <form method="dialog" class="form-end">
        <button class="button">Close</button>
      </form>
    </Dialog>
  );
}
