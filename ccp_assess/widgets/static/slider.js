// A slider that the browser itself knows: label, keyboard and screen reader come with it.
function render({ model, el }) {
  el.classList.add("ccp-slider-view");
  const id = `ccp-slider-${crypto.randomUUID()}`;
  const box = document.createElement("div");
  box.className = "ccp-slider";
  const label = document.createElement("label");
  label.htmlFor = id;
  const input = document.createElement("input");
  input.type = "range";
  input.id = id;
  const shown = document.createElement("output");
  shown.htmlFor = id;
  box.append(label, input, shown);
  el.append(box);

  function show() {
    label.textContent = model.get("description");
    for (const name of ["min", "max", "step"]) input[name] = model.get(name);
    input.disabled = model.get("disabled");
    input.value = model.get("value");
    shown.textContent = Number(model.get("value")).toFixed(model.get("digits")) + model.get("unit");
    input.setAttribute("aria-valuetext", shown.textContent);
  }
  input.addEventListener("input", () => {
    model.set("value", Number(input.value));
    model.save_changes();
  });
  model.on("change", show);
  show();
  return () => model.off("change", show);
}
export default { render };
