// Asks for the figures again and again: progress of the running import, and the lag as a plot.
(() => {
  const EVERY = 2000;
  // Told apart by dashes too, not by colour alone.
  const LINES = [["#7c3aed", []], ["#0e7490", [8, 4]], ["#c2410c", [2, 3]], ["#db2777", [10, 3, 2, 3]]];
  const root = document.querySelector("[data-figures]");
  const progress = document.getElementById("progress");
  const bar = document.getElementById("bar");
  let chart = null;
  let wasRunning = !bar.hidden;

  const say = (text) => {
    // A screen reader announces the element whenever it changes.
    if (progress.textContent !== text) progress.textContent = text;
  };

  const showProgress = (found) => {
    say(found.said);
    bar.hidden = found.state !== "running";
    bar.max = found.total || 1;
    bar.value = found.rows || 0;
    if (wasRunning && bar.hidden) refresh();
    wasRunning = !bar.hidden;
  };

  const showDead = (said) => {
    const card = document.getElementById("dead");
    const text = said && `✗ ${said}`;
    if (card.textContent !== text) card.textContent = text;
    card.hidden = !said;
  };

  const colours = () => {
    const dark = document.documentElement.classList.contains("dark");
    return { text: dark ? "#e5e7eb" : "#374151", grid: dark ? "#ffffff22" : "#00000018" };
  };

  const axes = () => {
    const { text, grid } = colours();
    return {
      x: { ticks: { color: text, maxTicksLimit: 6, maxRotation: 0 }, grid: { color: grid } },
      y: {
        beginAtZero: true,
        suggestedMax: 1,
        title: { display: true, text: "seconds behind", color: text },
        ticks: { color: text },
        grid: { color: grid },
      },
    };
  };

  const dataset = ([file, seconds], at) => {
    const [colour, dash] = LINES[at % LINES.length];
    return {
      label: file, data: seconds, borderColor: colour, backgroundColor: colour, borderDash: dash,
      borderWidth: 2, pointRadius: seconds.length < 3 ? 3 : 0, spanGaps: true,
    };
  };

  const showLag = (lag) => {
    if (!lag.times.length || !window.Chart) return;
    document.getElementById("lag-plot").hidden = false;
    const last = Object.entries(lag.files).map(([file, all]) => {
      const known = all.filter((value) => value !== null);
      return `${file} ${known[known.length - 1].toFixed(1)} s`;
    });
    document.getElementById("lag-said").textContent = `Last seen behind: ${last.join(", ")}.`;
    chart = chart || new Chart(document.getElementById("lag"), {
      type: "line",
      options: { animation: false, maintainAspectRatio: false },
    });
    chart.options.scales = axes();
    const labels = { color: colours().text, usePointStyle: true, pointStyle: "line", pointStyleWidth: 40 };
    chart.options.plugins.legend.labels = labels;
    chart.data.labels = lag.times.map((at) => new Date(at * 1000).toISOString().slice(11, 16));
    chart.data.datasets = Object.entries(lag.files).map(dataset);
    chart.update();
  };

  // An import has ended: every figure of the page is another one now.
  const refresh = async () => {
    const answer = await fetch(location.pathname, { credentials: "same-origin" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-fresh]")) {
      const other = fresh.getElementById(part.id);
      if (other) part.replaceChildren(...other.childNodes);
    }
  };

  const ask = async () => {
    try {
      const answer = await fetch(root.dataset.figures, { credentials: "same-origin" });
      // The session has ended: the answer is the login page.
      if (answer.redirected) return say("You are logged out: reload this page.");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const figures = await answer.json();
      showProgress(figures.progress);
      showLag(figures.lag);
      showDead(figures.dead);
    } catch (error) {
      say(`The server does not answer (${error.message}); asked again in some seconds.`);
    }
    setTimeout(ask, EVERY);
  };
  ask();
})();
