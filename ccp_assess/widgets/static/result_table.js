// A table of results: its headings sort it, by mouse or keyboard; what is unknown stays at the end.
function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "ccp-scroll ccp-results";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  el.append(box);

  const value = (cell) => (cell[1] === null || cell[1] === undefined ? null : cell[1]);
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }
  function ordered() {
    const [column, down] = model.get("sorted");
    const rows = [...model.get("rows")];
    if (column < 0) return rows;
    return rows.sort((one, other) => {
      const a = value(one[column]), b = value(other[column]);
      if (a === null || b === null) return (a === null) - (b === null);
      return down ? compare(b, a) : compare(a, b);
    });
  }
  function sortBy(column) {
    const [old, down] = model.get("sorted");
    // numbers begin with the most, words with the first
    model.set("sorted", [column, column === old ? !down : model.get("columns")[column].numeric]);
    model.save_changes();
    box.querySelectorAll("th button")[column]?.focus();
  }
  function heading(column, index) {
    const cell = document.createElement("th");
    cell.scope = "col";
    const [sorted, down] = model.get("sorted");
    if (index === sorted) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.label;
    const mark = document.createElement("span");
    mark.setAttribute("aria-hidden", "true");
    mark.textContent = index === sorted ? (down ? " \u25bc" : " \u25b2") : "";
    button.append(mark);
    button.addEventListener("click", () => sortBy(index));
    cell.append(button);
    return cell;
  }
  function draw() {
    const table = document.createElement("table");
    const caption = document.createElement("caption");
    caption.textContent = model.get("title");
    box.setAttribute("aria-label", model.get("title"));
    const head = document.createElement("tr");
    const columns = model.get("columns");
    columns.forEach((column, index) => head.append(heading(column, index)));
    const body = document.createElement("tbody");
    for (const row of ordered()) {
      const line = document.createElement("tr");
      row.forEach((cell, index) => {
        const made = document.createElement(index === 0 ? "th" : "td");
        if (index === 0) made.scope = "row";
        if (columns[index].numeric) made.className = "ccp-number";
        if (value(cell) === null) made.classList.add("ccp-unknown");
        const words = document.createElement("bdi");
        words.textContent = cell[0];
        made.append(words);
        line.append(made);
      });
      body.append(line);
    }
    const top = document.createElement("thead");
    top.append(head);
    table.append(caption, top, body);
    box.replaceChildren(table);
    box.hidden = columns.length === 0;
  }
  const names = ["rows", "columns", "title", "sorted"];
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true; // several values change at once
    queueMicrotask(() => {
      waiting = false;
      draw();
    });
  };
  for (const name of names) model.on(`change:${name}`, later);
  draw();
  return () => {
    for (const name of names) model.off(`change:${name}`, later);
  };
}
export default { render };
