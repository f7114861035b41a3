"use strict";
(function () {
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = String(event.message); });

  const touch = window.matchMedia("(pointer: coarse)").matches;
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  const charts = [];
  for (const data of document.querySelectorAll("script[data-chart]")) {
    const place = document.getElementById(data.dataset.chart);
    const figure = JSON.parse(data.textContent);
    // On a touch screen a drag must scroll the page, not zoom the chart.
    figure.layout.dragmode = touch ? false : "zoom";
    Plotly.newPlot(place, figure.data, figure.layout, config);
    charts.push(place);
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
