// Answers on their way to the server: one after the other, each again and again until the server has taken or refused it.

const PAUSES = [1, 2, 4, 8, 15, 30]; // seconds before the next attempt, after so many failures
const PATIENCE = 20; // seconds for a reply

/** Resolve after some seconds, or as soon as the browser is online again. */
export function pause(seconds) {
  return new Promise((done) => {
    const timer = setTimeout(finish, seconds * 1000);
    function finish() {
      clearTimeout(timer);
      removeEventListener("online", finish);
      done();
    }
    addEventListener("online", finish);
  });
}

/** Return the seconds to wait after so many failures, spread so that a full room does not come back at once. */
export function wait(failures) {
  return PAUSES[Math.min(failures, PAUSES.length) - 1] * (0.75 + Math.random() / 2);
}

/** Return the response of the server, or null if none came. */
export async function ask(path, options = {}) {
  try {
    return await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(PATIENCE * 1000) });
  } catch {
    return null;
  }
}

/** Return what became of an answer: {reply}, {refused: why} or {later: seconds or 0, why}. */
async function post(body) {
  const response = await ask("/answers", {
    method: "POST",
    body,
    headers: { Accept: "application/json" },
    redirect: "manual",
  });
  if (response === null) return { later: 0, why: "the server cannot be reached" };
  const later = Number(response.headers.get("Retry-After")) || 0;
  if (response.status === 429) return { later, why: "the server asks to wait" };
  if (response.status >= 500) return { later, why: `the server has a problem (${response.status})` };
  if (response.status === 408) return { later, why: "the connection is too slow" };
  const said = await response.json().catch(() => null);
  if (said?.recorded === true) return { reply: said };
  // something between here and the server answered in its place
  if (response.ok) return { later: 0, why: "something other than the server answers" };
  return { refused: said?.error ?? "You are no longer signed in." };
}

/** A queue of answers. An answer that was sent once is never changed: the server knows a repeat by its being the same. */
export class Sender {
  #queue = [];
  #running = false;
  #failures = 0; // since an answer arrived
  #why = ""; // the last one
  #tell;

  /** `tell(item, state, detail)` hears of each item that it is saving, unsaved (why), saved (reply) or refused (why). */
  constructor(tell) {
    this.#tell = tell;
  }

  get waiting() {
    return this.#queue.length;
  }

  add(item) {
    this.#queue.push(item);
    this.#tell(item, this.#failures ? "unsaved" : "saving", this.#why);
    if (!this.#running) this.#run();
  }

  async #run() {
    this.#running = true;
    while (this.#queue.length) {
      const item = this.#queue[0];
      this.#tell(item, "saving");
      const outcome = await post(item.body);
      if ("later" in outcome) {
        this.#failures += 1;
        const seconds = Math.max(outcome.later, wait(this.#failures));
        this.#why = outcome.why;
        for (const one of this.#queue) this.#tell(one, "unsaved", this.#why);
        await pause(seconds);
        continue;
      }
      this.#failures = 0;
      this.#queue.shift();
      if (outcome.reply) this.#tell(item, "saved", outcome.reply);
      else this.#tell(item, "refused", outcome.refused);
    }
    this.#running = false;
  }
}
