// The heading of a panel. It also keeps the notebook's own shortcuts away from the panel, so that arrow keys move its
// controls and not the cells around them.
function render({ model, el }) {
  const style = document.createElement("style");
  style.textContent = model.get("style_text");
  const heading = document.createElement("div");
  heading.setAttribute("role", "heading");
  heading.setAttribute("aria-level", "3");
  heading.className = "ccp-heading";
  heading.textContent = model.get("words");
  el.append(style);
  if (model.get("words")) el.append(heading);
  const waiting = setInterval(() => {
    const panel = el.closest(".ccp-panel");
    if (!panel) return;
    // the shortcuts look at the focused element first, so that is where the mark has to be
    panel.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
    clearInterval(waiting);
  }, 50);
  const follow = () => (style.textContent = model.get("style_text"));
  model.on("change:style_text", follow);
  return () => {
    clearInterval(waiting);
    model.off("change:style_text", follow);
  };
}
export default { render };
