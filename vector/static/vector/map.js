// A collection's map: the wheel zooms, dragging moves, a click opens the item.
(() => {
  const canvas = document.getElementById("map");
  if (!canvas || !window.Chart) return;
  const points = JSON.parse(document.getElementById("points").textContent);
  const near = Number(canvas.dataset.near);
  const address = (key) => canvas.dataset.item.replace("0/change/", `${key}/change/`);
  const spread = (at) => {
    const all = points.map((point) => point[at]);
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const edge = (most - least || 1) * 0.05;
    return { min: least - edge, max: most + edge };
  };
  const whole = { x: spread(1), y: spread(2) };
  const isDark = () => document.documentElement.classList.contains("dark");
  const axis = (range) => ({ ...range, ticks: { display: false }, grid: { color: isDark() ? "#ffffff22" : "#00000018" } });
  const dataset = (chosen, colour, radius, pointStyle) => ({
    data: chosen.map(([key, x, y, name]) => ({ x, y, key, name })),
    backgroundColor: colour, borderColor: colour, pointRadius: radius, pointHoverRadius: radius + 3, pointStyle,
  });
  const chart = new Chart(canvas, {
    type: "scatter",
    data: {
      datasets: [
        dataset(points.filter(([key]) => key === near), "#dc2626", 8, "triangle"),
        dataset(points.filter(([key]) => key !== near), "#8b5cf6", points.length > 1000 ? 2 : 4, "circle"),
      ],
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      plugins: { legend: { display: false }, tooltip: { callbacks: { label: ({ raw }) => raw.name } } },
      scales: { x: axis(whole.x), y: axis(whole.y) },
      onClick: (event, hit) => {
        if (hit.length && !moved) location.assign(address(chart.data.datasets[hit[0].datasetIndex].data[hit[0].index].key));
      },
    },
  });
  let moved = false;
  let from = null;
  const change = (how) => {
    for (const name of ["x", "y"]) Object.assign(chart.options.scales[name], how(chart.scales[name], name));
    chart.update();
  };
  const zoom = (factor, at) => change((scale, name) => {
    const middle = at ? scale.getValueForPixel(at[name]) : (scale.min + scale.max) / 2;
    return { min: middle - (middle - scale.min) * factor, max: middle + (scale.max - middle) * factor };
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, { x: event.offsetX, y: event.offsetY });
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => { from = { x: event.offsetX, y: event.offsetY }; moved = false; });
  canvas.addEventListener("pointermove", (event) => {
    const to = { x: event.offsetX, y: event.offsetY };
    if (!from || Math.hypot(to.x - from.x, to.y - from.y) < 4) return;
    moved = true;
    change((scale, name) => {
      const by = scale.getValueForPixel(from[name]) - scale.getValueForPixel(to[name]);
      return { min: scale.min + by, max: scale.max + by };
    });
    from = to;
  });
  window.addEventListener("pointerup", () => { from = null; });
  const tools = document.getElementById("map-tools");
  tools.hidden = false;
  tools.addEventListener("click", ({ target }) => {
    const factor = Number(target.dataset.zoom);
    if (target.dataset.zoom) factor ? zoom(factor) : change((scale, name) => whole[name]);
  });
})();
