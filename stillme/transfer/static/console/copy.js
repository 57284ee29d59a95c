// A button beside every key of a list or a row that copies it.
document.addEventListener("DOMContentLoaded", () => {
  const copy = (text, button) =>
    navigator.clipboard.writeText(text).then(
      () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1500); },
      () => { button.textContent = "not allowed"; },
    );
  document.querySelectorAll("#result_list .field-id, .field-id .readonly, .field-item_id .readonly").forEach((cell) => {
    const text = cell.textContent.trim();
    if (!text) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "console-copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", `copy ${text}`);
    button.addEventListener("click", (event) => {
      event.preventDefault();
      event.stopPropagation();
      copy(text, button);
    });
    cell.append(" ", button);
  });
});
