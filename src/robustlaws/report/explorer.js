// The script of the explorer: draws the runs in <script id="data"> as the controls and the address's hash say.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const plot = find("plot");
  const quantities = new Map(data.quantities.map((quantity) => [quantity.key, quantity]));
  const categories = new Map(data.categories.map((category) => [category.key, category]));
  const laws = new Map(data.laws.map((law) => [law.key, law]));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const coarse = window.matchMedia("(pointer: coarse)");
  const NAMES = { dataset: "Dataset", model: "Model", recipe: "Recipe", fid: "FID" };

  // What is drawn. `hidden`: category -> set of places of entries; `pinned`: places of runs.
  let state = null;

  function fresh() {
    const keys = [...quantities.keys()];
    const x = keys[0];
    const y = quantities.has("adv_loss") ? "adv_loss" : keys[Math.min(1, keys.length - 1)];
    const lined = data.laws.find((law) => law.lines.length);
    const hidden = Object.fromEntries(data.categories.map((category) => [category.key, new Set()]));
    return { x, y, xlog: quantities.get(x).log, ylog: quantities.get(y).log, colour: "dataset",
      law: lined ? lined.key : "", hidden, pinned: [] };
  }

  // The state as the hash of the address, and back; what the hash does not name or names wrongly stays as at first.
  function toHash() {
    const words = new URLSearchParams();
    for (const axis of ["x", "y"]) {
      words.set(axis, state[axis]);
      words.set(`${axis}log`, state[`${axis}log`] ? "1" : "0");
    }
    words.set("colour", state.colour);
    words.set("law", state.law);
    for (const [key, places] of Object.entries(state.hidden)) {
      const { entries } = categories.get(key);
      for (const place of [...places].sort((a, b) => a - b)) words.append(`no-${key}`, entries[place].name);
    }
    for (const run of state.pinned) words.append("pin", data.names[run]);
    return words.toString();
  }

  function fromHash() {
    const words = new URLSearchParams(window.location.hash.slice(1));
    state = fresh();
    for (const axis of ["x", "y"]) {
      if (quantities.has(words.get(axis))) {
        state[axis] = words.get(axis);
        state[`${axis}log`] = quantities.get(state[axis]).log;
      }
      if (words.has(`${axis}log`)) state[`${axis}log`] = words.get(`${axis}log`) === "1";
    }
    if (colours().includes(words.get("colour"))) state.colour = words.get("colour");
    if (words.has("law") && (words.get("law") === "" || laws.has(words.get("law")))) state.law = words.get("law");
    for (const [key, category] of categories) {
      const names = words.getAll(`no-${key}`);
      category.entries.forEach((entry, place) => { if (names.includes(entry.name)) state.hidden[key].add(place); });
    }
    const wanted = words.getAll("pin");
    state.pinned = [...new Set(wanted.map((name) => data.names.indexOf(name)))].filter((run) => run >= 0);
  }

  function colours() {
    const several = data.categories.filter(({ key, entries }) => key === "dataset" || entries.length > 1);
    return [...several.map(({ key }) => key), ...(quantities.has("fid") ? ["fid"] : [])];
  }

  // Elements, always through textContent: names are never markup.
  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function fill(select, groups) {
    for (const [label, options] of groups) {
      const made = options.map(([value, text]) => element("option", { value, textContent: text }));
      if (label) select.append(element("optgroup", { label }, ...made));
      else select.append(...made);
    }
  }

  function grouped() {
    const groups = new Map();
    for (const quantity of data.quantities) {
      if (!groups.has(quantity.group)) groups.set(quantity.group, []);
      groups.get(quantity.group).push(quantity);
    }
    return groups;
  }

  function build() {
    const groups = [...grouped()].map(([label, of]) => [label, of.map((quantity) => [quantity.key, quantity.label])]);
    for (const axis of ["x", "y"]) {
      fill(find(axis), groups);
      find(axis).addEventListener("change", (event) => {
        state[axis] = event.target.value;
        state[`${axis}log`] = quantities.get(event.target.value).log;
        update();
      });
      find(`${axis}log`).addEventListener("change", (event) => {
        state[`${axis}log`] = event.target.checked;
        update();
      });
    }
    fill(find("colour"), [["", colours().map((key) => [key, NAMES[key]])]]);
    find("colour").addEventListener("change", (event) => { state.colour = event.target.value; update(); });
    fill(find("law"), [["", [["", "none"], ...data.laws.map((law) => [law.key, law.title])]]]);
    find("law").addEventListener("change", (event) => { state.law = event.target.value; update(); });
    fill(find("pin"), [["", data.names.map((name, run) => [String(run), name])]]);
    find("add").addEventListener("click", () => { if (find("pin").value !== "") pin(Number(find("pin").value)); });
    find("swap").addEventListener("click", () => {
      [state.x, state.y, state.xlog, state.ylog] = [state.y, state.x, state.ylog, state.xlog];
      update();
    });
    find("whole").addEventListener("click", () => {
      window.Plotly.relayout(plot, { "xaxis.autorange": true, "yaxis.autorange": true });
    });
    find("save").addEventListener("click", () => {
      window.Plotly.downloadImage(plot, { format: "svg", filename: "runs" });
    });
    for (const category of data.categories) if (category.entries.length > 1) find("choices").append(choices(category));
    window.addEventListener("hashchange", () => {
      if (window.location.hash.slice(1) !== toHash()) { fromHash(); update(); }
    });
    dark.addEventListener("change", update);
  }

  // The legend: one box with a tick for each dataset, model and recipe.
  function choices(category) {
    const entries = element("div", { className: "entries" });
    category.entries.forEach((entry, place) => {
      const box = element("input", { type: "checkbox", id: `${category.key}-${place}` });
      box.addEventListener("change", () => {
        if (box.checked) state.hidden[category.key].delete(place);
        else state.hidden[category.key].add(place);
        update();
      });
      const glyph = element("span", { className: "glyph", textContent: entry.glyph, ariaHidden: "true" });
      const text = element("span", { textContent: entry.label });
      entries.append(element("label", { className: "tick" }, box, glyph, text));
    });
    for (const [text, all] of [["all", true], ["none", false]]) {
      const button = element("button", { type: "button", className: "small", textContent: text });
      button.setAttribute("aria-label", `${NAMES[category.key]}: ${text}`);
      button.addEventListener("click", () => {
        state.hidden[category.key] = new Set(all ? [] : category.entries.keys());
        update();
      });
      entries.append(button);
    }
    return element("fieldset", {}, element("legend", { textContent: NAMES[category.key] }), entries);
  }

  function pin(run) {
    if (!state.pinned.includes(run)) state.pinned.push(run);
    update();
  }

  function showControls() {
    for (const key of ["x", "y", "colour", "law"]) find(key).value = state[key];
    for (const key of ["xlog", "ylog"]) find(key).checked = state[key];
    for (const category of data.categories) {
      category.entries.forEach((entry, place) => {
        const box = find(`${category.key}-${place}`);
        if (!box) return;
        box.checked = !state.hidden[category.key].has(place);
        const glyph = box.nextElementSibling;
        glyph.style.color = dark.matches ? entry.dark : entry.light;
        glyph.hidden = state.colour !== category.key;
      });
    }
  }

  function showPinned() {
    const place = find("pinned");
    place.hidden = !state.pinned.length;
    place.replaceChildren();
    if (!state.pinned.length) return;
    const head = element("tr", {}, element("th", { scope: "col", textContent: "run" }));
    for (const run of state.pinned) {
      const button = element("button", { type: "button", className: "small", textContent: "unpin" });
      button.setAttribute("aria-label", `Unpin ${data.names[run]}`);
      button.addEventListener("click", () => {
        state.pinned = state.pinned.filter((other) => other !== run);
        update();
        find("pin").focus();
      });
      head.append(element("th", { scope: "col" }, element("div", { textContent: data.names[run] }), button));
    }
    const body = element("tbody", {});
    const row = (label, texts, className = "") => {
      const cells = texts.map((text) => element("td", { textContent: text, className }));
      body.append(element("tr", {}, element("th", { scope: "row", textContent: label }), ...cells));
    };
    for (const category of data.categories) {
      const labels = state.pinned.map((run) => category.entries[category.of[run]].label);
      row(NAMES[category.key].toLowerCase(), labels, "words");
    }
    for (const [group, of] of grouped()) {
      const title = element("th", { colSpan: state.pinned.length + 1, scope: "colgroup", textContent: group });
      body.append(element("tr", { className: "group" }, title));
      for (const quantity of of) row(quantity.label, state.pinned.map((run) => quantity.texts[run] ?? "\u2013"));
    }
    place.append(element("table", {}, element("thead", {}, head), body));
  }

  function update() {
    showControls();
    showPinned();
    window.ExplorerPlot.draw({ data, state, quantities, categories, laws, dark: dark.matches, coarse: coarse.matches,
      plot, status: find("status"), pin });
    try {
      window.history.replaceState(null, "", `#${toHash()}`);
    } catch {
      // some browsers forbid it for pages opened from a disk; the page works without
    }
  }

  if (!data.quantities.length || !window.Plotly) {
    find("broken").hidden = false;
    document.querySelector("main").hidden = document.querySelector(".controls").hidden = true;
    if (!data.quantities.length) find("broken").textContent = "There is no run to show.";
    return;
  }
  build();
  fromHash();
  update();
})();
