// Series over time on one clock: brush or keys zoom, hover or keys read values; columns share their scales.
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 46, RIGHT = 10, TOP = 4, LABEL = 17, PLOT = 58, GAP = 10, AXIS = 34;

function make(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}
function write(parent, x, y, words, more = {}) {
  make("text", { x, y, "font-size": 12, fill: "#1b2733", ...more }, parent).textContent = words;
}
function ticks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}
function plain(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toFixed(1)).toString();
}

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "ccp-timeline";
  const charts = document.createElement("div");
  charts.className = "ccp-charts";
  const told = document.createElement("div");
  told.className = "ccp-told";
  told.setAttribute("role", "status");
  box.append(charts, told);
  el.append(box);
  const clip = `ccp-clip-${crypto.randomUUID()}`;
  const hint = "Drag across the picture to zoom, double-click for all; with the keyboard: arrows to read, + and − to zoom, Escape for all.";
  let cursor = null; // [column, second]
  let focused = null;

  const span = () => model.get("span");
  function zoomTo(low, high) {
    const length = model.get("length");
    const wide = Math.min(Math.max(high - low, length / 500), length);
    low = Math.min(Math.max(low, 0), length - wide);
    model.set("span", [low, low + wide]);
    model.save_changes();
    draw();
  }

  function drawColumn(column, index, width) {
    const [low, high] = span();
    const inner = Math.max(width - LEFT - RIGHT, 60);
    const x = (second) => LEFT + ((second - low) / (high - low)) * inner;
    const rows = column.rows;
    const height = TOP + rows.length * (LABEL + PLOT + GAP) + AXIS;
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", tabindex: 0, "aria-label": `${column.title} ${hint}` });
    const rect = make("clipPath", { id: `${clip}-${index}` }, make("defs", {}, svg));
    make("rect", { x: LEFT, y: 0, width: inner, height }, rect);
    rows.forEach((row, number) => {
      const top = TOP + number * (LABEL + PLOT + GAP) + LABEL, bottom = top + PLOT;
      const y = (value) => bottom - (Math.min(value, row.top) / row.top) * PLOT;
      write(svg, LEFT, top - 4, row.label);
      for (const value of ticks(0, row.top, 3)) {
        make("line", { x1: LEFT, x2: LEFT + inner, y1: y(value), y2: y(value), stroke: "#dde2e6" }, svg);
        write(svg, LEFT - 5, y(value) + 4, plain(value), { "text-anchor": "end", "font-size": 11 });
      }
      const area = make("g", { "clip-path": `url(#${clip}-${index})` }, svg);
      for (const series of row.series) drawSeries(area, series, x, y, bottom);
      if (!row.series.some((series) => series.points.length)) write(svg, LEFT + inner / 2, top + PLOT / 2, row.empty, { "text-anchor": "middle", fill: "#4d5a66" });
    });
    const bottom = height - AXIS;
    for (const second of ticks(low, high, Math.max(2, inner / 80))) {
      make("line", { x1: x(second), x2: x(second), y1: bottom - GAP, y2: bottom - GAP + 4, stroke: "#4d5a66" }, svg);
      write(svg, x(second), bottom + 9, plain(second), { "text-anchor": "middle", "font-size": 11 });
    }
    write(svg, LEFT + inner / 2, height - 8, model.get("clock"), { "text-anchor": "middle" });
    for (const moment of column.moments) {
      if (moment.at < low || moment.at > high) continue;
      make("line", { x1: x(moment.at), x2: x(moment.at), y1: TOP + LABEL, y2: bottom - GAP, stroke: "#a01c1c", "stroke-width": 1.5, "stroke-dasharray": "2 2" }, svg);
      const right = x(moment.at) > LEFT + inner * 0.6;
      write(svg, x(moment.at) + (right ? -4 : 4), TOP + LABEL + 11, moment.text, { fill: "#a01c1c", "text-anchor": right ? "end" : "start", stroke: "#fff", "stroke-width": 3, "paint-order": "stroke" });
    }
    const mark = make("line", { y1: TOP + LABEL, y2: bottom - GAP, stroke: "#1b2733", "stroke-width": 1, visibility: "hidden" }, svg);
    const brush = make("rect", { y: TOP, height: bottom - TOP - GAP, fill: "#005a8d", "fill-opacity": 0.18, visibility: "hidden" }, svg);
    behave(svg, { column, index, x, inner, mark, brush });
    return svg;
  }

  function drawSeries(area, series, x, y, bottom) {
    const { points, kind, colour } = series;
    if (kind === "bars")
      for (const [at, value] of points) {
        if (value > 0) make("rect", { x: x(at), y: y(value), width: Math.max(x(at + 1) - x(at) - 0.5, 1), height: Math.max(bottom - y(value), 0), fill: colour }, area);
      }
    if (kind === "steps" || kind === "lines") {
      let path = "", before = null;
      for (const [at, value] of points) {
        const broken = before === null || (kind === "steps" && at - before[0] > 1.5);
        path += broken ? `M${x(at)} ${y(value)}` : kind === "steps" ? `H${x(at)}V${y(value)}` : `L${x(at)} ${y(value)}`;
        if (kind === "steps") path += `H${x(at + 1)}`;
        before = [at, value];
      }
      if (path) make("path", { d: path, fill: "none", stroke: colour, "stroke-width": kind === "steps" ? 2 : 1, "stroke-dasharray": series.dash }, area);
    }
    if (series.marker)
      for (const [at, value] of points) {
        const [px, py] = [x(at), y(value)];
        if (series.marker === "dot") make("circle", { cx: px, cy: py, r: 3, fill: colour }, area);
        else make("path", { d: `M${px} ${py - 5}l4.5 8h-9z`, fill: "none", stroke: colour, "stroke-width": 1.2 }, area);
      }
  }

  function read(column, second) {
    const parts = [];
    for (const row of column.rows)
      for (const series of row.series) {
        const near = series.points.reduce((best, point) => {
          const inside = series.marker ? Math.abs(point[0] - second) : second >= point[0] && second < point[0] + 1 ? 0 : Infinity;
          return inside < (best?.[1] ?? series.reach ?? 2) ? [point, inside] : best;
        }, null);
        if (near) parts.push(`${series.name} ${plain(near[0][1])} ${row.unit}`);
      }
    for (const moment of column.moments) if (Math.abs(moment.at - second) <= 1) parts.push(moment.text);
    return `${plain(second)} s: ${parts.join(", ") || "nothing here"}`;
  }
  function point(column, index, second, { x, mark }) {
    cursor = [index, second];
    mark.setAttribute("x1", x(second));
    mark.setAttribute("x2", x(second));
    mark.setAttribute("visibility", "visible");
    told.textContent = read(column, second);
  }

  function behave(svg, parts) {
    const { column, index, x, inner, mark, brush } = parts;
    const [low, high] = span();
    const at = (event) => low + ((event.clientX - svg.getBoundingClientRect().left - LEFT) / inner) * (high - low);
    let from = null;
    svg.addEventListener("pointerdown", (event) => {
      from = at(event);
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      const here = Math.min(Math.max(at(event), low), high);
      point(column, index, here, parts);
      if (from === null) return;
      brush.setAttribute("x", x(Math.min(from, here)));
      brush.setAttribute("width", Math.abs(x(here) - x(from)));
      brush.setAttribute("visibility", "visible");
    });
    svg.addEventListener("pointerup", (event) => {
      const here = at(event), began = from;
      from = null;
      brush.setAttribute("visibility", "hidden");
      if (began !== null && Math.abs(x(here) - x(began)) > 5) zoomTo(Math.min(began, here), Math.max(began, here));
    });
    svg.addEventListener("pointerleave", () => {
      if (from !== null || focused === index) return;
      mark.setAttribute("visibility", "hidden");
      told.textContent = hint;
    });
    svg.addEventListener("dblclick", () => zoomTo(0, model.get("length")));
    svg.addEventListener("focus", () => {
      focused = index;
      point(column, index, cursor?.[0] === index ? Math.min(Math.max(cursor[1], low), high) : low, parts);
    });
    svg.addEventListener("blur", () => (focused = null));
    svg.addEventListener("keydown", (event) => {
      const here = cursor?.[1] ?? low, wide = high - low, step = Math.max(1, wide / 60);
      const moved = { ArrowLeft: here - step, ArrowRight: here + step, Home: low, End: high }[event.key];
      if (moved !== undefined) {
        if (moved > high + 1e-9 || moved < low - 1e-9) zoomTo(moved > high ? low + wide / 2 : low - wide / 2, moved > high ? high + wide / 2 : high - wide / 2);
        else point(column, index, moved, parts);
      } else if (event.key === "+" || event.key === "=") zoomTo(here - wide / 4, here + wide / 4);
      else if (event.key === "-") zoomTo(here - wide, here + wide);
      else if (event.key === "Escape") zoomTo(0, model.get("length"));
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  function draw() {
    const columns = model.get("columns");
    const again = focused;
    const room = Math.max(box.clientWidth, 280);
    const width = columns.length > 1 && room >= 700 ? Math.floor((room - 12) / 2) : room;
    charts.replaceChildren(...columns.map((column, index) => drawColumn(column, index, width)));
    if (again !== null) charts.children[again]?.focus();
    else told.textContent = hint;
  }
  const watcher = new ResizeObserver(() => draw());
  watcher.observe(box);
  const names = ["change:columns", "change:span", "change:length"];
  for (const name of names) model.on(name, draw);
  draw();
  return () => {
    watcher.disconnect();
    for (const name of names) model.off(name, draw);
  };
}
export default { render };
