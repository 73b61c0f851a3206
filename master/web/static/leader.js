// Elects one tab of the browser: the others leave the event stream to it, since a browser opens six connections at most.

const LEASE_MS = 6_000;
const RENEW_MS = 2_000;
const KEY = "maybe.leader";

/**
 * Calls `begin` as soon as this tab leads. Web Locks elect it where they exist, which is in secure contexts; elsewhere
 * a lease in the storage does.
 * @param {(signal: AbortSignal) => void} begin its signal aborts when the tab leads no longer
 * @param {AbortSignal} stop ends the candidacy
 */
export function stand(begin, stop) {
  if (globalThis.navigator?.locks) void byLock(begin, stop);
  else byLease(begin, stop);
}

/** @param {(signal: AbortSignal) => void} begin @param {AbortSignal} stop */
async function byLock(begin, stop) {
  const held = () =>
    new Promise((resolve) => {
      stop.addEventListener("abort", resolve, { once: true });
      begin(stop);
    });
  try {
    await navigator.locks.request(KEY, { signal: stop }, held);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

/** @returns {{id: string, until: number} | null} */
function lease() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null");
  } catch {
    return null;
  }
}

/** @param {(signal: AbortSignal) => void} begin @param {AbortSignal} stop */
function byLease(begin, stop) {
  const id = String(Math.random());
  /** @type {AbortController | null} */
  let term = null;
  const look = () => {
    const now = Date.now();
    const found = lease();
    if (found && found.id !== id && found.until > now) {
      term?.abort();
      term = null;
      return;
    }
    const isMine = found?.id === id;
    localStorage.setItem(KEY, JSON.stringify({ id, until: now + LEASE_MS }));
    // Two tabs may take it at once: the last one has it, and both see that at their next look.
    if (isMine && !term) {
      term = new AbortController();
      begin(term.signal);
    }
  };
  const timer = setInterval(look, RENEW_MS / 2);
  const end = () => {
    clearInterval(timer);
    term?.abort();
    if (lease()?.id === id) localStorage.removeItem(KEY);
  };
  stop.addEventListener("abort", end, { once: true });
  addEventListener("pagehide", end, { once: true });
  look();
}
