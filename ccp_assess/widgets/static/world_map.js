// A map to explore: drag or arrow keys move it, wheel or + and - zoom, marks tell what they are on hover and focus.
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  site: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  caller: (r) => `M0 ${-1.2 * r}L${1.1 * r} ${0.8 * r}L${-1.1 * r} ${0.8 * r}z`,
  transfer: (r) => `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0z`,
  region: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  chosen: (r) =>
    "M" + [...Array(10)].map((_, i) => {
      const far = (i % 2 ? 0.62 : 1.5) * r, turn = (Math.PI * i) / 5;
      return `${(far * Math.sin(turn)).toFixed(2)} ${(-far * Math.cos(turn)).toFixed(2)}`;
    }).join("L") + "z",
};

function make(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "ccp-map";
  const svg = make("svg", { role: "group", tabindex: 0 }, box);
  const land = make("path", { fill: "#e6e9ec", stroke: "#b9c1c8", "stroke-width": 0.5, "vector-effect": "non-scaling-stroke" }, svg);
  const legs = make("g", { fill: "none" }, svg);
  const marks = make("g", {}, svg);
  const tip = document.createElement("div");
  tip.className = "ccp-tip";
  tip.setAttribute("role", "status");
  const buttons = document.createElement("div");
  buttons.className = "ccp-buttons";
  for (const [words, label, act] of [
    ["+", "Zoom in", () => zoom(0.6)],
    ["−", "Zoom out", () => zoom(1 / 0.6)],
    ["All", "Show all", () => { view = [...model.get("view")]; place(); }],
  ]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    buttons.append(button);
  }
  box.append(tip, buttons);
  el.append(box);
  let view = [...model.get("view")];
  const hint = "Drag or use the arrow keys to move, the wheel or + and − to zoom.";

  function place() {
    svg.setAttribute("viewBox", view.join(" "));
    const unit = view[2] / (svg.clientWidth || 800); // one pixel of the screen
    const taken = [];
    for (const mark of [...marks.children].reverse()) {
      const [x, y] = [mark.dataset.x / unit, mark.dataset.y / unit];
      mark.setAttribute("transform", `translate(${mark.dataset.x} ${mark.dataset.y}) scale(${unit})`);
      const label = mark.querySelector("text");
      if (label) writeLabel(label, x, y, Number(mark.dataset.r), unit, taken);
    }
  }
  // names stand right or left of their mark, above or below it; where there is no room, zooming makes some
  function writeLabel(label, x, y, r, unit, taken) {
    const wide = 6.6 * label.textContent.length, high = 13;
    for (const [dx, dy, anchor] of [[r + 4, 4, "start"], [-r - 4, 4, "end"], [0, -r - 5, "middle"], [0, r + 13, "middle"]]) {
      const left = x + dx - { start: 0, middle: wide / 2, end: wide }[anchor];
      const box = [left, y + dy - high, left + wide, y + dy];
      const inside = box[0] >= view[0] / unit && box[2] <= (view[0] + view[2]) / unit;
      if (!inside || taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      taken.push(box);
      for (const [name, value] of Object.entries({ x: dx, y: dy, "text-anchor": anchor, visibility: "visible" })) label.setAttribute(name, value);
      return;
    }
    label.setAttribute("visibility", "hidden");
  }
  function zoom(factor, x = view[0] + view[2] / 2, y = view[1] + view[3] / 2) {
    const whole = model.get("view");
    const f = Math.min(Math.max(factor, 4 / view[2]), (1.5 * whole[2]) / view[2]);
    view = [x - (x - view[0]) * f, y - (y - view[1]) * f, view[2] * f, view[3] * f];
    place();
  }
  function spot(event) {
    const frame = svg.getBoundingClientRect();
    return [view[0] + ((event.clientX - frame.left) / frame.width) * view[2], view[1] + ((event.clientY - frame.top) / frame.height) * view[3]];
  }
  function say(text) {
    tip.textContent = text || hint;
  }

  function drawMarks() {
    const focused = marks.querySelector(":focus")?.dataset.key;
    marks.replaceChildren();
    for (const mark of model.get("marks")) {
      const isRegion = mark.kind === "region" || mark.kind === "chosen";
      const group = make("g", { class: "ccp-mark", tabindex: 0, role: isRegion ? "button" : "img", "aria-label": mark.text }, marks);
      Object.assign(group.dataset, { x: mark.x, y: mark.y, r: mark.r, key: mark.key });
      if (isRegion) group.setAttribute("aria-pressed", String(mark.key === model.get("selected")));
      if (mark.key === model.get("selected")) group.classList.add("ccp-chosen");
      make("circle", { class: "ccp-ring", r: Math.max(mark.r + 5, 11), fill: "transparent", stroke: "none" }, group);
      make("path", { d: SHAPES[mark.kind](mark.r), fill: mark.colour, stroke: mark.kind === "region" ? "#1b2733" : "#fff", "stroke-width": 1 }, group);
      if (mark.label) {
        const text = make("text", { "font-size": 12, fill: "#1b2733", stroke: "#fff", "stroke-width": 3, "paint-order": "stroke", "font-weight": mark.kind === "chosen" ? "bold" : "normal" }, group);
        text.textContent = mark.label;
      }
      group.addEventListener("pointerenter", () => say(mark.text));
      group.addEventListener("focus", () => say(mark.text));
      group.addEventListener("pointerleave", () => say(""));
      if (isRegion) {
        const choose = () => { model.set("selected", mark.key); model.save_changes(); };
        group.addEventListener("click", choose);
        group.addEventListener("keydown", (event) => {
          if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); }
        });
      }
      if (mark.key === focused) group.focus();
    }
    place();
  }
  function drawLegs() {
    legs.replaceChildren();
    for (const leg of model.get("legs")) {
      const line = make("path", { d: leg.d, stroke: leg.colour, "stroke-width": leg.width, "stroke-dasharray": leg.dash, "vector-effect": "non-scaling-stroke" }, legs);
      make("title", {}, line).textContent = leg.text;
    }
  }
  function name() {
    svg.setAttribute("aria-label", `${model.get("description")} ${hint}`);
  }

  svg.addEventListener("wheel", (event) => {
    if (document.activeElement !== svg && !svg.contains(document.activeElement)) return; // the page scrolls until the map is chosen
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, ...spot(event));
  }, { passive: false });
  let held = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".ccp-mark")) return;
    held = spot(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!held) return;
    const here = spot(event);
    view = [view[0] + held[0] - here[0], view[1] + held[1] - here[1], view[2], view[3]];
    place();
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (held = null));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (step) view = [view[0] + step[0] * view[2], view[1] + step[1] * view[3], view[2], view[3]];
    else if (event.key === "+" || event.key === "=") zoom(0.8);
    else if (event.key === "-") zoom(1.25);
    else return;
    event.preventDefault();
    event.stopPropagation();
    place();
  });

  const changes = {
    "change:land": () => land.setAttribute("d", model.get("land")),
    "change:marks": drawMarks,
    "change:selected": drawMarks,
    "change:legs": drawLegs,
    "change:description": name,
    "change:view": () => { view = [...model.get("view")]; place(); },
  };
  for (const [what, act] of Object.entries(changes)) model.on(what, act);
  const watcher = new ResizeObserver(place);
  watcher.observe(svg);
  land.setAttribute("d", model.get("land"));
  drawLegs();
  drawMarks();
  name();
  say("");
  return () => {
    watcher.disconnect();
    for (const [what, act] of Object.entries(changes)) model.off(what, act);
  };
}
export default { render };
