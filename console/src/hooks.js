// Hooks that several pages use.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { serverNow } from './live.js';

export const isVisible = () => document.visibilityState !== 'hidden';

/** Asks again and again while the page is looked at: { data, error, reload }. `data` stays what it
 *  was when an answer fails; it is undefined at first, and after `deps` have changed. */
export function usePoll(fetchIt, deps, everyMs) {
  const [result, setResult] = useState({});
  const again = useRef(() => {});
  useEffect(() => {
    let timer;
    let controller;
    let isOver = false;
    setResult({});
    const look = async () => {
      clearTimeout(timer);
      controller?.abort();
      if (isOver || !isVisible()) return;
      const mine = (controller = new AbortController());
      try {
        const data = await fetchIt(mine.signal);
        if (mine === controller && !isOver) setResult({ data });
      } catch (error) {
        if (mine !== controller || isOver || error.name === 'AbortError') return;
        // What cannot be reached is the banner's to say; what was seen last stays.
        setResult((before) => (error.isAway ? before : { error }));
        // A refusal will not change by asking again so soon.
        if (error.isForbidden || error.status === 404) return;
      }
      if (everyMs) timer = setTimeout(look, everyMs);
    };
    again.current = look;
    document.addEventListener('visibilitychange', look);
    look();
    return () => {
      isOver = true;
      clearTimeout(timer);
      controller?.abort();
      document.removeEventListener('visibilitychange', look);
    };
  }, deps);
  const reload = useCallback(() => again.current(), []);
  return { ...result, reload };
}

/** The server's time, anew every `everyMs` while the page is looked at. */
export function useNow(everyMs = 1000) {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => isVisible() && setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** The value as it was when it last did not change for `ms`. */
export function useSettled(value, ms = 200) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
