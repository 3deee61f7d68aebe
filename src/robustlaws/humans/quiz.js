// The quiz: asks one image after another, says after each what it is, and at the end the score.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  if (!data.images.length) return;
  const bytes = Uint8Array.from(atob(data.answers), (letter) => letter.charCodeAt(0));
  const answers = JSON.parse(new TextDecoder().decode(bytes));
  // Classes that are called by one key each are chosen by it: "0" by 0.
  const own = data.classes.map((name) => name.toLowerCase());
  const named = own.every((name) => /^[0-9a-z]$/.test(name)) && new Set(own).size === own.length;
  const KEYS = named ? own : [..."1234567890qwertyuiopasdfghjklzxcvbnm"];
  const count = data.images.length;
  const $ = (id) => document.getElementById(id);
  const nameOf = (label) => (label === null ? "no class" : (data.classes[label] ?? String(label)));
  const source = (image, version) => `data:image/png;base64,${image[version]}`;

  // Chosen classes, in order; the last one may still be on show.
  let chosen = [];
  let shown = 0;

  function make(tag, text, names) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (names) element.className = names;
    return element;
  }

  // Another browser, or one told to keep nothing, refuses storage: then a reload begins anew.
  function keep() {
    try {
      sessionStorage.setItem(data.state, JSON.stringify({ chosen, shown }));
    } catch { /* see above */ }
  }

  function recall() {
    try {
      const found = JSON.parse(sessionStorage.getItem(data.state));
      const known = (label) => Number.isInteger(label) && label >= 0 && label < data.classes.length;
      if (!found || !Array.isArray(found.chosen) || !found.chosen.every(known)) return;
      const { shown: at, chosen: labels } = found;
      if (!Number.isInteger(at) || labels.length > count || at < 0 || at > labels.length) return;
      if (at < labels.length - 1) return;
      chosen = labels;
      shown = at;
    } catch { /* see above */ }
  }

  function participants(many) {
    const people = data.simulated ? "simulated participant" : "participant";
    return `${many} ${people}${many === 1 ? "" : "s"}`;
  }

  function bar(share, text) {
    const track = make("span", undefined, "track");
    const fill = make("span", undefined, "fill");
    fill.style.setProperty("--share", share);
    track.append(fill, make("span", text, "number"));
    return track;
  }

  function ask() {
    const image = data.images[shown];
    $("quiz").hidden = false;
    $("end").hidden = true;
    $("place").textContent = `Image ${shown + 1} of ${count}`;
    $("bar").value = shown;
    $("attacked").src = source(image, "attacked");
    $("attacked").alt = `Image ${shown + 1}, to be classified by eye`;
    $("attackedsays").textContent = "";
    $("before").hidden = true;
    $("choices").hidden = false;
    $("result").hidden = true;
    keep();
  }

  function fact(name, ...values) {
    const described = make("dd");
    described.append(...values);
    $("facts").append(make("dt", name), described);
  }

  function votes(answer) {
    const given = answer.votes.map(([label, many]) => [nameOf(label), many]);
    if (answer.without) given.push(["no class", answer.without]);
    const all = given.reduce((sum, [, many]) => sum + many, 0);
    return { all, lines: given.map(([name, many]) => {
      const line = make("span", undefined, "vote");
      line.append(make("span", name), bar(many / all, `${many} of ${all}`));
      return line;
    }) };
  }

  const VERDICTS = {
    valid: "valid: it still shows its true class",
    ambiguous: "invalid, ambiguous: its true class can no longer be seen",
    deceptive: "invalid, deceptive: most see the network's class in it too",
  };

  function reveal() {
    const image = data.images[shown];
    const answer = answers[shown];
    const mine = chosen[shown];
    const right = mine === answer.label;
    $("quiz").hidden = false;
    $("end").hidden = true;
    $("place").textContent = `Image ${shown + 1} of ${count}`;
    $("bar").value = shown + 1;
    $("attacked").src = source(image, "attacked");
    $("attacked").alt = `Image ${shown + 1}: ${nameOf(answer.label)}, changed by the attack`;
    $("attackedsays").textContent = "as you saw it";
    $("clean").src = source(image, "clean");
    $("clean").alt = `The same image of class ${nameOf(answer.label)} before the attack`;
    $("cleansays").textContent = image.clean === image.attacked ? "not changed: the network errs by itself" : "before it was changed";
    $("before").hidden = false;
    $("choices").hidden = true;
    $("result").hidden = false;
    const says = right ? `Right: ${nameOf(answer.label)}.` : `It is ${nameOf(answer.label)}, you chose ${nameOf(mine)}.`;
    $("verdict").textContent = `${right ? "✓" : "✗"} ${says}`;
    $("verdict").className = right ? "right" : "wrong";
    $("facts").replaceChildren();
    fact("The network sees", nameOf(answer.network));
    const { all, lines } = votes(answer);
    if (all) fact(`${participants(all)} saw`, ...lines);
    else fact("Participants", data.scores.participants.count ? "none was shown this image" : "no participants yet");
    for (const [name, label] of answer.models) fact(`${name} (a model)`, nameOf(label));
    if (VERDICTS[answer.verdict]) fact("Judged", VERDICTS[answer.verdict] + (data.simulated ? " (by simulated participants)" : ""));
    fact("This is", answer.name);
    $("next").textContent = shown + 1 < count ? "Next image" : "See the score";
    $("said").textContent = `${says} The network sees ${nameOf(answer.network)}.`;
    keep();
  }

  function score(kind, who, share, text) {
    const line = make("div", undefined, `score ${kind}`);
    line.append(make("span", who, "who"), share === null ? make("span", text, "number") : bar(share, text));
    $("scores").append(line);
  }

  const ofAll = (share) => `${(share * count).toFixed(1).replace(/\.0$/, "")} of ${count}`;

  function finish() {
    const right = chosen.filter((label, place) => label === answers[place].label).length;
    $("quiz").hidden = true;
    $("end").hidden = false;
    const says = `You have ${right} of ${count} right.`;
    $("done").textContent = says;
    $("scores").replaceChildren();
    score("you", "You", right / count, `${right} of ${count}`);
    const { participants: they, models } = data.scores;
    if (they.count) score("them", `${participants(they.count)}, mean`, they.share, ofAll(they.share));
    else score("them", "Participants", null, "no participants yet");
    for (const [name, share] of models) score("model", `${name} (a model)`, share, ofAll(share));
    score("network", "The network", 0, `0 of ${count}`);
    $("remark").textContent = "The network has none right because only images that fooled it are in the quiz: it says"
      + " nothing of how good the network is on others.";
    $("review").replaceChildren(...answers.map((answer, place) => {
      const entry = make("li");
      const pair = make("div", undefined, "pair");
      for (const version of ["attacked", "clean"]) {
        const picture = make("img");
        picture.src = source(data.images[place], version);
        picture.alt = version === "attacked" ? `Image ${place + 1} as you saw it` : "before it was changed";
        pair.append(picture);
      }
      const ok = chosen[place] === answer.label;
      entry.append(pair, make("p", `${ok ? "✓" : "✗"} you: ${nameOf(chosen[place])}`, ok ? "right" : "wrong"),
        make("p", `true: ${nameOf(answer.label)}`), make("p", `network: ${nameOf(answer.network)}`));
      return entry;
    }));
    const others = they.count ? ` ${participants(they.count)}: ${ofAll(they.share)} on average.` : " No participants yet.";
    $("said").textContent = `${says} The network: 0 of ${count}.${others}`;
    keep();
  }

  function show() {
    if (shown >= count) finish();
    else if (shown < chosen.length) reveal();
    else ask();
  }

  function choose(label) {
    if (shown >= count || chosen.length !== shown) return;
    chosen.push(label);
    reveal();
    $("next").focus({ preventScroll: true });
    $("place").scrollIntoView({ block: "nearest" });
  }

  function next() {
    if (chosen.length !== shown + 1) return;
    shown += 1;
    show();
    $(shown < count ? "place" : "done").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  function again() {
    chosen = [];
    shown = 0;
    $("said").textContent = "";
    show();
    $("place").focus();
  }

  // Keys of one character can be turned off, for whom they come unmeant; a browser that keeps nothing asks each time.
  const KEPT = "single keys";
  try {
    $("keyed").checked = localStorage.getItem(KEPT) !== "off";
  } catch { /* see above */ }
  function showKeys() {
    document.body.classList.toggle("keyless", !$("keyed").checked);
  }
  $("keyed").addEventListener("change", () => {
    showKeys();
    try {
      localStorage.setItem(KEPT, $("keyed").checked ? "on" : "off");
    } catch { /* see above */ }
  });
  showKeys();

  // On some keyboards, such as French and Czech ones, the digits are behind Shift: there the key counts.
  function keyOf(event) {
    const key = event.key.toLowerCase();
    const digit = /^Digit([0-9])$/.exec(event.code);
    return digit && !event.shiftKey && !/^[0-9a-z]$/.test(key) ? digit[1] : key;
  }

  if (named) $("keys").textContent = "or press its key";
  if (!data.smooth) document.body.classList.add("pixels");
  data.classes.forEach((name, label) => {
    const button = make("button");
    button.type = "button";
    const key = KEYS[label];
    if (key) {
      if (!named) {
        const hint = make("kbd", key);
        hint.setAttribute("aria-hidden", "true");
        button.append(hint);
      }
      button.setAttribute("aria-keyshortcuts", key);
    }
    button.append(make("span", name));
    button.addEventListener("click", () => choose(label));
    $("classes").append(button);
  });
  $("next").addEventListener("click", next);
  $("again").addEventListener("click", again);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = keyOf(event);
    const label = key.length === 1 && $("keyed").checked ? KEYS.indexOf(key) : -1;
    if (label >= 0 && label < data.classes.length && chosen.length === shown && shown < count) {
      event.preventDefault();
      choose(label);
    } else if (event.key === "Enter" && event.target === $("place") && chosen.length === shown + 1) {
      next();
    }
  });
  recall();
  show();
})();
