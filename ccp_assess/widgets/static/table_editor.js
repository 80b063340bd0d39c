// A table whose cells are edited in place; what is wrong with a cell stands below it.
function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "ccp-editor";
  el.append(box);
  let cells = []; // one list of fields for each row
  const key = `ccp-${crypto.randomUUID()}`;

  const rows = () => model.get("rows");
  function keep(changed) {
    model.set("rows", changed);
    model.save_changes();
  }
  function keepCell(row, column, text) {
    keep(rows().map((cellsOfRow, r) => (r === row ? cellsOfRow.map((old, c) => (c === column ? text : old)) : cellsOfRow)));
  }
  function focus(row, column) {
    cells[row]?.[column]?.focus();
  }
  function empty() {
    return model.get("columns").map(() => "");
  }

  function paste(event, row, column) {
    const text = event.clipboardData.getData("text/plain").replace(/\r\n?/g, "\n").replace(/\n$/, "");
    if (!/[\t\n]/.test(text)) return; // one cell: the browser does it
    event.preventDefault();
    const changed = rows().map((cellsOfRow) => [...cellsOfRow]);
    text.split("\n").forEach((line, down) => {
      while (changed.length <= row + down) changed.push(empty());
      line.split("\t").forEach((cell, right) => {
        if (column + right < changed[row + down].length) changed[row + down][column + right] = cell.trim();
      });
    });
    keep(changed);
    draw();
    focus(row, column);
  }

  function field(column, row, index) {
    const choices = column.choices;
    const input = document.createElement(choices.length ? "select" : "input");
    if (choices.length) {
      const text = rows()[row][index];
      const words = choices.includes(text) || text === "" ? ["", ...choices] : ["", text, ...choices];
      for (const word of words) input.add(new Option(word, word));
    } else {
      input.type = "text";
      input.autocomplete = "off";
      input.spellcheck = false;
    }
    input.style.minWidth = `${Math.max(7, Math.min(28, column.width))}ch`;
    input.value = rows()[row][index];
    input.setAttribute("aria-label", `${column.label}, row ${row + 1}`);
    input.title = column.help;
    input.dir = "auto";
    input.addEventListener("input", () => keepCell(row, index, input.value));
    input.addEventListener("paste", (event) => paste(event, row, index));
    input.addEventListener("keydown", (event) => {
      const down = { Enter: 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!down || (choices.length && event.key !== "Enter")) return;
      event.preventDefault();
      if (event.key === "Enter" && row + 1 === rows().length) add();
      focus(row + down, index);
    });
    return input;
  }

  function add() {
    keep([...rows(), empty()]);
    draw();
    focus(rows().length - 1, 0);
  }
  function remove(row) {
    keep(rows().filter((_, index) => index !== row));
    draw();
    focus(Math.min(row, rows().length - 1), 0);
  }
  function button(words, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = words;
    if (label) made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  }

  function draw() {
    const columns = model.get("columns");
    const table = document.createElement("table");
    const caption = table.createCaption();
    caption.className = "ccp-hidden-words";
    caption.textContent = model.get("title");
    const head = table.createTHead().insertRow();
    for (const column of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = column.label + (column.required ? " *" : "");
      cell.title = column.help;
      head.append(cell);
    }
    head.append(document.createElement("td"));
    const body = table.createTBody();
    cells = rows().map((_, row) => {
      const line = body.insertRow();
      const fields = columns.map((column, index) => {
        const input = field(column, row, index);
        const problem = document.createElement("div");
        problem.className = "ccp-cell-problem";
        problem.id = `${key}-${row}-${index}`;
        line.insertCell().append(input, problem);
        return input;
      });
      line.insertCell().append(button("Remove", `Remove row ${row + 1}`, () => remove(row)));
      return fields;
    });
    box.replaceChildren(table, button("Add a row", "", add));
    tell();
  }

  function tell() {
    const wrong = new Map(model.get("problems").map((one) => [`${one.row}-${one.column}`, one.text]));
    cells.forEach((fields, row) =>
      fields.forEach((input, column) => {
        const text = wrong.get(`${row}-${column}`) ?? "";
        const problem = input.nextElementSibling;
        if (problem.textContent !== text) problem.textContent = text;
        if (text) {
          input.setAttribute("aria-invalid", "true");
          input.setAttribute("aria-describedby", problem.id);
        } else {
          input.removeAttribute("aria-invalid");
          input.removeAttribute("aria-describedby");
        }
      })
    );
  }

  function follow() {
    // what was typed here is shown already: only what comes from elsewhere is drawn again, so that the cursor stays
    const shown = cells.map((fields) => fields.map((input) => input.value));
    if (JSON.stringify(shown) !== JSON.stringify(rows())) draw();
  }
  model.on("change:rows", follow);
  model.on("change:columns", draw);
  model.on("change:problems", tell);
  draw();
  return () => {
    model.off("change:rows", follow);
    model.off("change:columns", draw);
    model.off("change:problems", tell);
  };
}
export default { render };
