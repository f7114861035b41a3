"use strict";
(function () {
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = String(event.message); });

  const touch = window.matchMedia("(pointer: coarse)").matches;
  const config = {
    responsive: true,
    displaylogo: false,
    showTips: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  // Times come as counts of a unit since 1970, told in meta, eight bytes or four each; Plotly wants them written out.
  const numbers = { f8: Float64Array, i4: Int32Array };
  const written = ({ x, meta }) => {
    if (!x.bdata) return x;
    const counts = new numbers[x.dtype](Uint8Array.from(atob(x.bdata), (letter) => letter.charCodeAt(0)).buffer);
    const length = meta === 86400000 ? 10 : 19;
    return Array.from(counts, (count) => new Date(count * meta).toISOString().slice(0, length));
  };
  const charts = [];
  for (const data of document.querySelectorAll("script[data-chart]")) {
    const place = document.getElementById(data.dataset.chart);
    const figure = JSON.parse(data.textContent);
    for (const line of figure.data) if (line.meta) line.x = written(line);
    // On a touch screen a drag must scroll the page, not zoom the chart.
    figure.layout.dragmode = touch ? false : "zoom";
    Plotly.newPlot(place, figure.data, figure.layout, config);
    charts.push(place);
  }

  // Plotly's legend listens to the mouse alone: give it the keyboard too.
  const reach = (place) => {
    for (const item of place.querySelectorAll(".legend .traces")) {
      item.setAttribute("tabindex", "0");
      item.setAttribute("role", "button");
      item.setAttribute("aria-label", "Show or hide " + item.textContent.trim());
    }
  };
  const toggle = (event) => {
    const item = event.target.closest(".legend .traces");
    if (!item || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    const place = event.currentTarget;
    const position = [...place.querySelectorAll(".legend .traces")].indexOf(item);
    const area = item.querySelector(".legendtoggle");
    for (const kind of ["mousedown", "mouseup"]) area.dispatchEvent(new MouseEvent(kind, { bubbles: true, view: window }));
    window.setTimeout(() => {
      const again = place.querySelectorAll(".legend .traces")[position];
      if (again) again.focus();
    }, 500);
  };
  for (const place of charts) {
    reach(place);
    place.on("plotly_afterplot", () => reach(place));
    place.addEventListener("keydown", toggle);
  }

  // Charts are drawn for the width of the screen; paper is narrower.
  window.addEventListener("beforeprint", () => charts.forEach((place) => Plotly.relayout(place, { width: 680 })));
  window.addEventListener("afterprint", () => charts.forEach((place) => Plotly.relayout(place, { width: null, autosize: true })));

  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
