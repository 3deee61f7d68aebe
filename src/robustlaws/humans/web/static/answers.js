// The pages with images: keys, each answer saved at once, measured times. Without this file they are plain forms.

import { key_of, show_switches } from "./keys.js";
import { Sender, ask, pause, wait } from "./sending.js";
import { Timing } from "./timing.js";

const SAID = { saving: "Saving …", saved: "Saved" };
const OVER = "The time for this image was over";
const BEFORE_OVER = "The time for the previous image was over";
const APART = 500; // milliseconds between two presses of Undo that both count: a double click takes back one answer

const sender = new Sender(tell);
let timings = new Map(); // of each form that waits for an answer
let current = null; // the form that keys are for
let by_key = false; // whether the keyboard was used last
let trouble = ""; // why answers do not get saved
let loading = false; // whether another page is on its way
let undone = -Infinity; // when an answer was last taken back, in milliseconds of the page

const find = (selector) => document.querySelector(selector);
const forms = () => [...document.querySelectorAll("form.answer")];
const is_open = (form) => !form.dataset.state;
const is_batch = () => find("main.batch") !== null;

/** Take up the page that is now in the document; `form` is to be answered next. */
function begin(form = null) {
  for (const timing of timings.values()) timing.stop();
  timings = new Map();
  show_switches();
  for (const one of forms().filter(is_open)) timings.set(one, new Timing(one, () => answer(one, null)));
  const named = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  const next = [form, named, ...forms()].find((one) => one?.matches("form.answer") && is_open(one)) ?? null;
  aim(next, by_key || form !== null);
  if (!is_batch()) next?.querySelector(".picture").focus({ preventScroll: true });
}

/** Let keys be for `form`; with `move` it is also brought into view and gets the focus. */
function aim(form, move) {
  current?.classList.remove("current");
  current = form;
  if (form === null || !is_batch()) return;
  form.classList.add("current");
  if (!move) return;
  form.querySelector(".picture").focus({ preventScroll: true });
  form.scrollIntoView({ block: "nearest" });
}

/** Send what is chosen in `form`, or that its time is over if `confidence` is null. */
function answer(form, confidence) {
  if (!is_open(form) || loading) return;
  const body = new URLSearchParams(new FormData(form));
  body.delete("confidence");
  if (confidence === null) {
    body.delete("class");
  } else {
    if (!body.has("class")) return say(form, "First choose what the image shows.");
    body.set("confidence", confidence);
    form.querySelector(`button[value="${confidence}"]`).classList.add("given");
  }
  const elapsed = timings.get(form)?.elapsed();
  if (elapsed !== undefined) body.set("elapsed", Math.round(elapsed));
  timings.get(form)?.stop();
  for (const timing of timings.values()) timing.answered();
  form.dataset.state = "saving";
  if (!is_batch()) announce("");
  for (const part of form.querySelectorAll("fieldset")) part.disabled = true;
  sender.add({ form, body, late: confidence === null });
  if (is_batch()) aim(following(form), by_key);
}

/** Return the next open form after `form`, from the top again after the last; null if none is left. */
function following(form) {
  const all = forms();
  const place = all.indexOf(form);
  return [...all.slice(place + 1), ...all.slice(0, place)].find(is_open) ?? null;
}

/** Show what became of an answer. */
function tell({ form, late }, state, detail) {
  const before = form.dataset.state;
  form.dataset.state = before === "unsaved" && state === "saving" ? "unsaved" : state;
  if (state === "unsaved") trouble = detail;
  const over = state === "saved" && (late || detail.late === true); // an answer may also have come too late
  if (state === "refused") refuse(form, detail);
  else if (over) say(form, OVER);
  else if (form.dataset.state === "unsaved") say(form, unsaved(form));
  else if (is_batch()) say(form, SAID[form.dataset.state]);
  count();
  if (state !== "saved" || (is_batch() && !(detail.batch_complete && !sender.waiting))) return;
  load("/work").then(() => over && setTimeout(announce, 100, BEFORE_OVER)); // what is there at once is not read out
}

function unsaved(form) {
  const limit = form.dataset.seconds === undefined ? "" : " What arrives after the time for an image does not count.";
  return `Not saved yet: ${trouble}. Trying again; leave this page open.${limit}`;
}

/** Say something above the image, until it is answered. */
function announce(text) {
  const place = find(".notice");
  if (place) place.textContent = text;
}

function refuse(form, why) {
  say(form, `Not saved: ${why} `);
  const link = document.createElement("a");
  link.href = "/work";
  link.textContent = "Load the page again";
  form.querySelector(".state").append(link);
}

function say(form, text) {
  const place = form.querySelector(".state");
  if (place.textContent !== text) place.textContent = text;
}

/** Bring the numbers above a page of images up to date. */
function count() {
  const undo = find(".undo button");
  if (undo && sender.waiting) undo.disabled = true;
  if (!is_batch()) return;
  const all = forms();
  const saved = all.filter((form) => form.dataset.state === "saved").length;
  const waiting = all.filter((form) => form.dataset.state === "unsaved").length;
  find(".progress .far").textContent = `${saved} of ${all.length} answered`;
  find("progress").value = saved;
  const notice = waiting ? `${waiting} not saved yet: ${trouble}. Leave this page open.` : "";
  if (find(".notice").textContent !== notice) find(".notice").textContent = notice;
  undo.disabled = saved === 0 || sender.waiting > 0;
}

/** Put the page at `path` in the place of this one, as soon as the server gives it. */
async function load(path, options = {}) {
  loading = true;
  const answered = new Set(forms().filter((form) => !is_open(form)).map((form) => form.id));
  for (let failures = 1; ; failures += 1) {
    const response = await ask(path, options);
    if (response && response.status < 500 && response.status !== 429) {
      const text = await response.text().catch(() => null);
      if (text !== null) return show(response, text, answered);
    }
    [path, options] = ["/work", {}]; // not twice what changes something
    const form = current ?? forms().at(-1);
    if (form) say(form, "Your answers are saved. The next page does not come: trying again.");
    await pause(wait(failures));
  }
}

/** Show a page that was loaded; a page of images stays at the image that waits for an answer again. */
function show(response, text, answered) {
  const page = new DOMParser().parseFromString(text, "text/html");
  if (!response.ok || !page.querySelector("main") || new URL(response.url).pathname !== "/work") {
    location.assign("/work");
    return;
  }
  loading = false;
  document.title = page.title;
  document.body.replaceWith(document.adoptNode(page.body));
  const first = forms()[0];
  if (!first) {
    scrollTo(0, 0);
    (find("[autofocus]") ?? find("main")).focus();
    return;
  }
  begin(forms().find((form) => is_open(form) && answered.has(form.id)));
  if (!is_batch()) scrollTo(0, 0);
}

function undo(form) {
  const button = form.querySelector("button");
  if (sender.waiting || loading || button.disabled || performance.now() - undone < APART) return;
  button.disabled = true;
  const options = { method: "POST", body: new URLSearchParams(new FormData(form)) };
  load("/undo", options).then(() => {
    undone = performance.now();
  });
}

/** Do what a key stands for; return whether it stands for anything. */
function press(key, on_choice) {
  if (loading) return false; // it was meant for the page that goes
  const form = current;
  const choice = form && [...form.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  if (choice && is_open(form)) {
    choice.checked = true;
    say(form, "");
    return true;
  }
  if (key === "u" || key === "backspace") {
    undo(find("form.undo"));
    return true;
  }
  if (!form) return false;
  const arrow = !on_choice; // on a choice the arrows go to the next choice, as everywhere
  if (key === "l" || (key === "arrowleft" && arrow)) answer(form, "low");
  else if (key === "h" || (key === "arrowright" && arrow)) answer(form, "high");
  else if (is_batch() && arrow && (key === "arrowdown" || key === "arrowup")) step(key === "arrowdown" ? 1 : -1);
  else return false;
  return true;
}

/** Go to the next or the previous image of a page of images. */
function step(by) {
  const all = forms();
  const open = all.filter((form) => is_open(form));
  const next = open[open.indexOf(current) + by];
  if (next) aim(next, true);
}

document.addEventListener("keydown", (event) => {
  by_key = true;
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !forms().length) return;
  const key = key_of(event);
  if (key === null) return;
  if (event.repeat && !key.startsWith("arrow")) return;
  if (event.repeat && (key === "arrowleft" || key === "arrowright")) return event.preventDefault();
  if (press(key, event.target.matches("input[type=radio]"))) event.preventDefault();
});

document.addEventListener("pointerdown", () => {
  by_key = false;
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches(".answer")) {
    event.preventDefault();
    if (event.submitter?.value) answer(form, event.submitter.value);
    else form.querySelector(".confidence button").focus(); // the Enter key on a choice
  } else if (form.matches(".undo")) {
    event.preventDefault();
    undo(form);
  }
});

// A pointer that chose leaves the focus on the image: then the arrow keys give the confidence.
document.addEventListener("click", (event) => {
  if (event.detail && event.target.matches("input[type=radio]")) {
    const form = event.target.form;
    say(form, "");
    form.querySelector(".picture").focus({ preventScroll: true });
  }
});

document.addEventListener("focusin", (event) => {
  const form = event.target.closest?.("form.answer");
  if (form && form !== current && is_open(form)) aim(form, false);
});

addEventListener("beforeunload", (event) => {
  if (sender.waiting) event.preventDefault();
});

// A page from before, brought back by the browser, has tokens of before.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

document.documentElement.classList.add("scripted");
begin();
