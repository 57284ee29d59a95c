// A button next to every key of a list or a row that copies it.
document.addEventListener("DOMContentLoaded", () => {
  // On plain http beyond localhost a browser gives no clipboard: the older way by a selection is left.
  const select = (text) => {
    const field = document.createElement("textarea");
    field.value = text;
    field.setAttribute("readonly", "");
    field.className = "console-selected";
    document.body.append(field);
    const before = document.activeElement;
    field.select();
    try {
      return document.execCommand("copy");
    } catch {
      return false;
    } finally {
      field.remove();
      before?.focus();
    }
  };
  const say = (button, copied) => {
    button.textContent = copied ? "copied" : "not allowed: mark the key and copy it";
    if (copied) setTimeout(() => { button.textContent = "copy"; }, 1500);
  };
  const copy = (text, button) => {
    if (!navigator.clipboard) return say(button, select(text));
    return navigator.clipboard.writeText(text).then(
      () => say(button, true),
      () => say(button, select(text)),
    );
  };
  // On a row's page the key is the first field; unfold gives what is read-only no class of its own.
  const key = document.querySelector("fieldset .form-row .readonly");
  [...document.querySelectorAll("#result_list :is(.field-id, th.field-item_id)"), ...(key ? [key] : [])].forEach((cell) => {
    const text = cell.textContent.trim();
    if (!text) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "console-copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", `copy ${text}`);
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", (event) => {
      event.preventDefault();
      event.stopPropagation();
      copy(text, button);
    });
    cell.append(" ", button);
  });
});
