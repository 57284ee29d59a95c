// Unfold opens some of its panels by elements that the keyboard does not reach: these become buttons.
document.addEventListener("DOMContentLoaded", () => {
  const mouseOnly = "a[x-on\\:click]:not([href]), [x-on\\:click].cursor-pointer:not(a, button, input, label, tr, td, summary)";
  for (const element of document.querySelectorAll(mouseOnly)) {
    if (element.querySelector("a[href], button, input")) continue;
    element.setAttribute("role", "button");
    element.setAttribute("tabindex", "0");
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      element.click();
    });
  }
});
