// Polls the dashboard's figures: the running import's progress, and the lag drawn over time.
(() => {
  const root = document.querySelector("[data-figures]");
  const progress = document.getElementById("progress");
  const chart = window.Chart && new Chart(document.getElementById("lag"), {
    type: "line",
    data: { labels: [], datasets: [{ label: "lag (s)", data: [], borderColor: "#9333ea" }] },
    options: { animation: false, maintainAspectRatio: false, scales: { y: { beginAtZero: true } } },
  });
  const show = (f) => {
    const p = f.progress;
    let text = p.state;
    if (p.run) text += `: ${p.rows}${p.total ? " of " + p.total : ""} rows, ${p.rate} rows/s`;
    if (p.seconds_left != null) text += `, ${p.seconds_left} s left`;
    progress.textContent = text;
    if (!chart) return;
    chart.data.labels.push(new Date().toLocaleTimeString());
    chart.data.datasets[0].data.push(Math.max(0, ...f.overview.files.map((x) => x.lag_seconds)));
    if (chart.data.labels.length > 120) {
      chart.data.labels.shift();
      chart.data.datasets[0].data.shift();
    }
    chart.update();
  };
  const poll = async () => {
    try {
      const answer = await fetch(root.dataset.figures, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      show(await answer.json());
    } catch (error) {
      progress.textContent = `The server does not answer (${error.message}).`;
    }
    setTimeout(poll, 3000);
  };
  poll();
})();
