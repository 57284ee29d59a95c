// Asks for one chart after the other and draws it. A click on a bar or point leads to its rows.
(() => {
  // Each is told apart by its dashes in a line, by its place in the legend as a bar; the table has all.
  const LIGHT = ["#7c3aed", "#0e7490", "#c2410c", "#db2777", "#4d7c0f", "#2563eb", "#a16207", "#0f766e", "#6b7280"];
  const DARK = ["#a78bfa", "#22d3ee", "#fb923c", "#f472b6", "#a3e635", "#60a5fa", "#facc15", "#2dd4bf", "#9ca3af"];
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const drawn = [];

  const isDark = () => document.documentElement.classList.contains("dark");

  const colours = () => {
    const dark = isDark();
    return { text: dark ? "#e5e7eb" : "#374151", grid: dark ? "#ffffff22" : "#00000018" };
  };

  const options = (figure) => {
    const { text, grid } = colours();
    const axis = (more) => ({ stacked: figure.stacked, ticks: { color: text, ...more }, grid: { color: grid } });
    const short = function (value) {
      const label = this.getLabelForValue(value);
      return label.length > 18 ? `${label.slice(0, 17)}…` : label;
    };
    const legend = figure.line
      ? { color: text, usePointStyle: true, pointStyle: "line", pointStyleWidth: 40 }
      : { color: text, boxWidth: 14 };
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "nearest", intersect: false },
      onClick: (event, hit, chart) => {
        const link = hit.length && chart.data.datasets[hit[0].datasetIndex].links[hit[0].index];
        if (link) location.assign(link);
      },
      onHover: (event, hit, chart) => {
        const link = hit.length && chart.data.datasets[hit[0].datasetIndex].links[hit[0].index];
        chart.canvas.style.cursor = link ? "pointer" : "";
      },
      plugins: { legend: { display: figure.series.length > 1, labels: legend } },
      scales: {
        x: axis(figure.time ? { maxTicksLimit: 5, maxRotation: 0, autoSkipPadding: 16 } : { maxRotation: 45, callback: short }),
        y: { ...axis({}), beginAtZero: true },
      },
    };
  };

  const paint = (datasets) => {
    const palette = isDark() ? DARK : LIGHT;
    datasets.forEach((one, at) => {
      one.borderColor = one.backgroundColor = palette[at % palette.length];
    });
    return datasets;
  };

  const dataset = (figure) => (series, at) => ({
    label: series.label,
    data: series.values,
    links: series.links,
    ...(figure.line
      ? { borderDash: DASHES[at % DASHES.length], borderWidth: 2, pointRadius: 3, spanGaps: true }
      : { maxBarThickness: 48 }),
  });

  const draw = (place) => {
    const canvas = place.querySelector("canvas");
    if (!canvas) return;
    if (!window.Chart) {
      // Without the library the table is the figure.
      canvas.parentElement.remove();
      place.querySelector("details").open = true;
      return;
    }
    const figure = JSON.parse(place.querySelector("script[type='application/json']").textContent);
    const chart = new Chart(canvas, {
      type: figure.line ? "line" : "bar",
      data: { labels: figure.labels, datasets: paint(figure.series.map(dataset(figure))) },
      options: options(figure),
    });
    drawn.push([chart, figure]);
  };

  const ask = async (place) => {
    try {
      const answer = await fetch(place.dataset.chart, { credentials: "same-origin" });
      if (answer.redirected) throw new Error("You are logged out: reload this page.");
      if (!answer.ok) throw new Error(`The server answered with status ${answer.status}: reload this page.`);
      place.innerHTML = await answer.text();
      draw(place);
    } catch (error) {
      place.textContent = error instanceof TypeError ? "The server does not answer: reload this page." : error.message;
    }
    place.removeAttribute("aria-busy");
  };

  const askAll = async () => {
    for (const place of document.querySelectorAll("[data-chart]")) await ask(place);
  };

  // Light and dark are exchanged while one looks.
  new MutationObserver(() => {
    for (const [chart, figure] of drawn) {
      chart.options = options(figure);
      paint(chart.data.datasets);
      chart.update();
    }
  }).observe(document.documentElement, { attributeFilter: ["class"] });
  askAll();
})();
