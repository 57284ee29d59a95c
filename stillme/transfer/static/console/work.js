// Asks for what the running command has printed until it has ended.
(() => {
  const root = document.querySelector("[data-work]");
  const said = document.getElementById("said");
  const output = document.getElementById("output");
  if (!said) return;
  const ask = async () => {
    try {
      const answer = await fetch(root.dataset.work, { credentials: "same-origin" });
      if (answer.redirected) throw new Error("You are logged out: reload this page.");
      if (!answer.ok) throw new Error(`The server answered with status ${answer.status}: asked again.`);
      const found = await answer.json();
      if (said.textContent !== found.said) said.textContent = found.said;
      if (output.textContent !== found.output) {
        output.textContent = found.output;
        output.scrollTop = output.scrollHeight;
      }
      if (!found.is_running) return;
    } catch (error) {
      said.textContent = error instanceof TypeError ? "the server does not answer; asked again" : error.message;
    }
    setTimeout(ask, 1000);
  };
  if (said.textContent === "running") ask();
})();
