// The picture of the explorer: points, the lines of a law, and what hovering and clicking say.
"use strict";
window.ExplorerPlot = (() => {
  const escape = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Break parts into lines of about `width` characters, never within a part unless it is longer by itself.
  function lines(parts, width, between) {
    const found = [];
    for (let part of parts) {
      for (; part.length > width; part = part.slice(width)) found.push(part.slice(0, width));
      const last = found.length - 1;
      if (last >= 0 && found[last].length + between.length + part.length <= width) found[last] += between + part;
      else found.push(part);
    }
    return found;
  }

  const wrapped = (text, width) => lines(text.split(" "), width, " ").map(escape).join("<br>");

  // Everything that is known of a run.
  function about(view, run, width) {
    const { data } = view;
    const heads = data.categories.filter((category) => category.entries.length > 1 || category.key !== "recipe")
      .map((category) => category.entries[category.of[run]].label);
    const groups = new Map();
    for (const quantity of data.quantities) {
      if (quantity.texts[run] === null) continue;
      if (!groups.has(quantity.group)) groups.set(quantity.group, []);
      groups.get(quantity.group).push(`${quantity.label} ${quantity.texts[run]}`);
    }
    const name = lines([data.names[run]], width, "").map(escape).join("<br>");
    const text = [`<b>${name}</b>`, ...lines(heads, width, " · ").map(escape)];
    let first = true;
    for (const [group, parts] of groups) {
      if (!first) text.push(...lines([group], width, "").map((line) => `<i>${escape(line)}</i>`));
      text.push(...lines(parts, width, " · ").map(escape));
      first = false;
    }
    return text.join("<br>");
  }

  function isShown(view, run) {
    return view.data.categories.every((category) => !view.state.hidden[category.key].has(category.of[run]));
  }

  function points(view, runs, width) {
    const { data, state, quantities, categories } = view;
    const [across, up] = [quantities.get(state.x).values, quantities.get(state.y).values];
    const trace = (chosen, marker, name) => ({
      type: "scatter", mode: "markers", name, x: chosen.map((run) => across[run]), y: chosen.map((run) => up[run]),
      customdata: chosen, text: chosen.map((run) => about(view, run, width)), hovertemplate: "%{text}<extra></extra>",
      marker: { size: 9, opacity: 0.85, line: { width: 0.8, color: colour("--paper") }, ...marker },
    });
    const category = categories.get(state.colour);
    if (category) {
      return category.entries.map((entry, place) => trace(runs.filter((run) => category.of[run] === place),
        { color: view.dark ? entry.dark : entry.light, symbol: entry.symbol }, escape(entry.label)));
    }
    const fid = quantities.get("fid").values;
    const known = runs.filter((run) => fid[run] !== null);
    const positive = known.every((run) => fid[run] > 0);
    const shade = known.map((run) => (positive ? Math.log10(fid[run]) : fid[run]));
    const range = Math.max(...shade) - Math.min(...shade);
    const ticks = new Map();
    for (const run of [...known.keys()].sort((a, b) => shade[a] - shade[b])) {
      // numbers that would stand on one another are left out
      if ([...ticks.keys()].every((other) => shade[run] - other > 0.06 * range)) ticks.set(shade[run], fid[known[run]]);
    }
    const bar = { title: { text: "FID" }, thickness: 12, outlinewidth: 0, tickvals: [...ticks.keys()],
      ticktext: [...ticks.values()].map((tick) => String(Number(tick.toPrecision(3)))) };
    const colorscale = view.data.scale[view.dark ? "dark" : "light"];
    const traces = [trace(known, { color: shade, colorscale, showscale: true, colorbar: bar }, "with a FID")];
    const without = runs.filter((run) => fid[run] === null);
    if (without.length) traces.push(trace(without, { color: colour("--soft"), symbol: "circle-open" }, "no FID"));
    return traces;
  }

  // One law's lines, where both axes are something that it gives: solid within the study's budgets, dashed beyond.
  function lawLines(view, width) {
    const { state, laws, categories } = view;
    const law = laws.get(state.law);
    const traces = [];
    for (const line of law ? law.lines : []) {
      if (!(state.x in line.of && state.y in line.of)) continue;
      if (line.dataset !== null && state.hidden.dataset.has(line.dataset)) continue;
      const entry = line.dataset === null ? null : categories.get("dataset").entries[line.dataset];
      const own = entry && state.colour === "dataset" ? (view.dark ? entry.dark : entry.light) : colour("--soft");
      const inside = line.measured;
      const beyond = inside.map((here, place) => !here || inside[place - 1] === false || inside[place + 1] === false);
      const texts = line.texts.map((text) => [law.title, line.name, ...text.split("; ")]
        .map((part) => wrapped(part, width)).join("<br>"));
      for (const [kept, dash] of [[inside, "solid"], [beyond, "dash"]]) {
        const cut = (values) => values.map((value, place) => (kept[place] ? value : null));
        traces.push({
          type: "scatter", mode: "lines", name: escape(line.name), x: cut(line.of[state.x]), y: cut(line.of[state.y]),
          line: { color: own, width: 2, dash }, hovertemplate: "%{text}<extra></extra>",
          text: texts,
        });
      }
    }
    return traces;
  }

  function axis(view, which, width) {
    const quantity = view.quantities.get(view.state[which]);
    const name = quantity.key.includes(" ") ? `${quantity.label}: ${quantity.group}` : quantity.label;
    const format = {
      flops: { exponentformat: "power" }, count: { exponentformat: "B" }, percent: { tickformat: ",.3~%" },
    };
    return {
      type: view.state[`${which}log`] ? "log" : "linear", title: { text: wrapped(name, width), standoff: 10 },
      gridcolor: colour("--line"), linecolor: colour("--edge"), zerolinecolor: colour("--edge"), ticks: "outside",
      tickcolor: colour("--edge"), automargin: true, showline: true, nticks: view.plot.clientWidth < 500 ? 5 : 0,
      ...(format[quantity.format] || {}),
    };
  }

  function tell(view, shown, placed) {
    const { data, state, quantities, laws } = view;
    const all = data.names.length;
    const told = [`${placed.length} of ${all} runs shown.`];
    for (const which of state.x === state.y ? ["x"] : ["x", "y"]) {
      const quantity = quantities.get(state[which]);
      const missing = shown.filter((run) => quantity.values[run] === null).length;
      if (missing) told.push(`${missing} without a number for ${quantity.label}.`);
      const low = shown.filter((run) => quantity.values[run] !== null && quantity.values[run] <= 0).length;
      if (low && state[`${which}log`]) told.push(`${low} not above 0 in ${quantity.label}: no place on a log scale.`);
    }
    const law = laws.get(state.law);
    if (law) {
      const drawn = law.lines.some((line) => state.x in line.of && state.y in line.of);
      const given = ["flops", "params", "images", "adv_loss", "adv_acc"];
      const alone = law.lines.filter((line) => line.dataset === null).map((line) => line.name);
      const grey = alone.length && state.colour === "dataset" ? `; grey: ${alone.join(", ")}` : "";
      const how = `at the best allocation of each budget; dashed beyond the study's budgets${grey}`;
      if (drawn) told.push(`Lines: ${law.title}, ${how}.`);
      else if (given.includes(state.x) && given.includes(state.y)) told.push(`${law.title} has no line here.`);
      if (given.includes(state.x) && given.includes(state.y)) told.push(...law.remarks);
    }
    const [first, ...rest] = told;
    const paragraph = (text) => Object.assign(document.createElement("p"), { textContent: text });
    view.status.replaceChildren(paragraph(first), ...(rest.length ? [paragraph(rest.join(" "))] : []));
  }

  function draw(view) {
    const { data, state, quantities, plot } = view;
    const narrow = plot.clientWidth < 500;
    const width = narrow ? 36 : 64;
    const shown = data.names.map((_, run) => run).filter((run) => isShown(view, run));
    const placed = shown.filter((run) => ["x", "y"].every((which) => {
      const value = quantities.get(state[which]).values[run];
      return value !== null && (value > 0 || !state[`${which}log`]);
    }));
    const pinned = placed.filter((run) => state.pinned.includes(run));
    const ring = {
      type: "scatter", mode: "markers", name: "pinned", hoverinfo: "skip",
      x: pinned.map((run) => quantities.get(state.x).values[run]),
      y: pinned.map((run) => quantities.get(state.y).values[run]),
      marker: { size: 17, symbol: "circle-open", color: colour("--ink"), line: { width: 2.2 } },
    };
    const { fontFamily: family } = getComputedStyle(document.body);
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
      font: { family, size: 13, color: colour("--ink") },
      margin: { l: 56, r: 16, t: 30, b: 50 }, dragmode: view.coarse ? false : "zoom",
      xaxis: axis(view, "x", narrow ? 40 : 80), yaxis: axis(view, "y", narrow ? 34 : 60),
      hoverlabel: { align: "left", bgcolor: colour("--panel"), bordercolor: colour("--edge"),
        font: { family, color: colour("--ink"), size: 12 } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--ink") },
      // zooming in lasts until an axis changes
      uirevision: [state.x, state.y, state.xlog, state.ylog].join(" "),
    };
    const removed = ["select2d", "lasso2d", "autoScale2d"];
    const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: removed };
    window.Plotly.react(plot, [...lawLines(view, width), ...points(view, placed, width), ring], layout, config);
    if (!plot.robustlaws) {
      plot.on("plotly_click", (event) => {
        const point = event.points.find((one) => typeof one.customdata === "number");
        if (point) view.pin(point.customdata);
      });
      plot.robustlaws = true;
    }
    tell(view, shown, placed);
  }

  return { draw };
})();
