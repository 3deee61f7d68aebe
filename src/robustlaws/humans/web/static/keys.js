// The keyboard: which key was meant, and whether keys of one character do anything. Who speaks to a computer, or whose
// hands hit keys that they do not mean, can turn those off.

const KEPT = "single keys"; // name in the browser's storage, which may refuse
let on = recall() !== "off";

function recall() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep() {
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // then it holds for this page
  }
}

/** Return the key of an event in small letters; null for a key of one character while those are off. */
export function key_of(event) {
  let key = event.key.toLowerCase();
  // On some keyboards, such as French and Czech ones, the digits are behind Shift: the key counts, not its character.
  const digit = /^Digit([0-9])$/.exec(event.code);
  if (digit && !event.shiftKey && !/^[0-9a-z]$/.test(key)) key = digit[1];
  return key.length === 1 && !on ? null : key;
}

/** Let the switches on the page, which do nothing without this file, be seen and say how it stands. */
export function show_switches() {
  document.documentElement.classList.toggle("keyless", !on);
  for (const one of document.querySelectorAll(".shortcuts")) {
    one.hidden = false;
    one.querySelector("input").checked = on;
  }
}

document.addEventListener("change", (event) => {
  if (!event.target.matches(".shortcuts input")) return;
  on = event.target.checked;
  keep();
  show_switches();
});

show_switches();
