// Asks registrar: the short things every other second, the rest when there is news or it is looked at.

const PATIENCE_MS = 5_000;

/** Return what is at an address, null if there is no such thing. Throw if there is no good answer. */
export async function ask(address) {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

/** A value, and when it came. */
export class Told {
  constructor(value) {
    this.value = value;
    this.at = performance.now();
  }

  /** How long ago it was told, in seconds. */
  get elapsed() {
    return (performance.now() - this.at) / 1000;
  }

  /** Return how old something is now that was `age` seconds old when it was told. */
  ago = (age) => age + this.elapsed;
}
