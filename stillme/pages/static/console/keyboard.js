// Unfold's pages have no landmarks, and two scrolling regions of the same name.
window.addEventListener("load", () => {
  document.getElementById("main")?.setAttribute("role", "main");
  const sidebar = document.getElementById("nav-sidebar");
  sidebar?.setAttribute("role", "navigation");
  sidebar?.setAttribute("aria-label", "Sidebar");
  sidebar?.querySelector("[role='region']")?.setAttribute("aria-label", "Pages and tables");
  document.getElementById("content")?.setAttribute("tabindex", "-1");
  // Django makes these when the page is loaded.
  setTimeout(() => {
    for (const tip of document.querySelectorAll(".help-tooltip[aria-label]")) tip.setAttribute("role", "img");
  });
});
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
