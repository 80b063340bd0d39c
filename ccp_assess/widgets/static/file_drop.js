// Files go to the kernel piece by piece, so that no limit on messages matters and large ones can be stopped.
const PIECE_BYTES = 1 << 20;

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "ccp-drop";
  const id = `ccp-drop-${crypto.randomUUID()}`;
  const label = document.createElement("label");
  label.htmlFor = id;
  label.textContent = model.get("description");
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = model.get("multiple");
  input.id = id;
  const list = document.createElement("div");
  list.setAttribute("role", "status");
  box.append(label, document.createElement("br"), input, list);
  el.append(box);

  const waiting = [];
  let current = null;

  function line(file) {
    const row = document.createElement("div");
    const words = document.createElement("span");
    words.textContent = `${file.name}: waiting`;
    row.append(words);
    list.append(row);
    return { row, words };
  }
  function next() {
    current = waiting.shift() ?? null;
    if (!current) return;
    const { file, row, words } = current;
    words.textContent = `${file.name} `;
    const bar = document.createElement("progress");
    bar.max = Math.max(file.size, 1);
    bar.value = 0;
    bar.setAttribute("aria-label", `${file.name} on its way`);
    const stop = document.createElement("button");
    stop.type = "button";
    stop.textContent = "Stop";
    stop.addEventListener("click", () => model.send({ type: "stop", id: current?.key }));
    row.append(bar, " ", stop);
    current.bar = bar;
    model.send({ type: "begin", id: current.key, name: file.name, bytes: file.size });
  }
  async function piece(offset) {
    const { file, key, bar } = current;
    bar.value = offset;
    if (offset >= file.size) {
      model.send({ type: "end", id: key });
      return;
    }
    const data = await file.slice(offset, offset + PIECE_BYTES).arrayBuffer();
    if (current?.key === key) model.send({ type: "piece", id: key, offset }, undefined, [data]);
  }
  function hear(message) {
    if (!current || message.id !== current.key) return;
    if (message.type === "go") {
      piece(message.offset);
      return;
    }
    const { row } = current;
    const words = document.createElement("span");
    words.textContent = message.text;
    if (message.type === "problem") words.style.color = "#a01c1c";
    row.replaceChildren(words);
    next();
  }
  function take(files) {
    for (const file of files) waiting.push({ file, key: crypto.randomUUID(), ...line(file) });
    if (!current) next();
  }
  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  for (const name of ["dragover", "dragleave", "drop"])
    box.addEventListener(name, (event) => {
      event.preventDefault();
      event.stopPropagation();
      box.classList.toggle("ccp-over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files);
    });
  model.on("msg:custom", hear);
  return () => model.off("msg:custom", hear);
}
export default { render };
