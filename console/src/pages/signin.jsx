import { useEffect, useState } from 'preact/hooks';
import { ask, signInReason } from '../api.js';
import { Mark } from '../icons.jsx';
import { setKey } from '../settings.js';
import { useStore } from '../store.js';
import { Field } from '../ui.jsx';

/** Whether the master knows the key: a refusal for want of a right is a yes. */
async function isKnown(secret) {
  try {
    await ask('stats', { secret });
  } catch (error) {
    if (error.status !== 403) throw error;
  }
}

export function SignIn({ setup }) {
  const before = useStore(signInReason);
  const [secret, setSecret] = useState('');
  const [keep, setKeep] = useState(false);
  const [refused, setRefused] = useState(before);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => document.querySelector('input[name=key]').focus(), []);
  const submit = async (e) => {
    e.preventDefault();
    const typed = secret.trim();
    if (isBusy) return;
    if (!/^[!-~]+$/.test(typed)) {
      setRefused(typed ? 'A key has no blanks and no such characters.' : 'Enter a master key.');
      return;
    }
    setBusy(true);
    try {
      await isKnown(typed);
      signInReason.set('');
      setKey(typed, keep);
    } catch (error) {
      setRefused(error.message);
      setBusy(false);
    }
  };
  return (
    <main class="signin">
      <form class="signin-card form" onSubmit={submit}>
        <p class="signin-brand">
          <Mark />
          <span>gusher</span>
        </p>
        <h1>Sign in</h1>
        <p class="muted">
          With a key of this master. <code>gusher key</code> makes one: <code>query</code> shows
          everything, <code>publish</code> and <code>admin</code> let you act.
        </p>
        <Field
          label="Master key"
          type="password"
          name="key"
          autocomplete="current-password"
          value={secret}
          error={refused}
          onInput={(e) => setSecret(e.currentTarget.value)}
        />
        <label class="check">
          <input
            type="checkbox"
            checked={keep}
            onChange={(e) => setKeep(e.currentTarget.checked)}
          />
          Keep on this device
        </label>
        <p class="hint">Otherwise the key is forgotten when this tab is closed.</p>
        <button class="button wide" aria-disabled={isBusy}>
          Sign in
        </button>
        <p class="version">{setup.version}</p>
      </form>
    </main>
  );
}
