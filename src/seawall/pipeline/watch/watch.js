"use strict";
(function () {
  const at = (id) => document.getElementById(id);
  const number = (value, digits) => value === null || value === undefined ? "–" : value.toFixed(digits);
  const size = (bytes) => bytes === null || bytes === undefined ? "–" : bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const span = (seconds) => seconds === null || seconds === undefined ? "–" : seconds >= 3600 ? `${(seconds / 3600).toFixed(1)} h` : seconds >= 60 ? `${(seconds / 60).toFixed(1)} min` : `${seconds.toFixed(0)} s`;

  const pairs = (place, rows) => {
    place.replaceChildren(...rows.map(([name, text]) => {
      const box = document.createElement("div");
      const term = document.createElement("dt");
      const value = document.createElement("dd");
      term.textContent = name;
      value.textContent = text;
      box.append(term, value);
      return box;
    }));
  };

  const draw = (place, lines) => {
    const all = lines.flatMap((line) => line.values).filter((value) => Number.isFinite(value));
    const low = Math.min(...all), high = Math.max(...all);
    place.replaceChildren();
    if (!all.length) return;
    const reach = high - low || Math.abs(high) || 1;
    for (const { name, values } of lines) {
      const step = 580 / Math.max(values.length - 1, 1);
      const points = values.map((value, i) => [10 + i * step, 150 - 140 * (value - low) / reach]);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("class", name);
      line.setAttribute("points", points.filter((point) => Number.isFinite(point[1])).map((point) => point.join(",")).join(" "));
      place.append(line);
    }
  };

  const column = (reports, key) => reports.map((report) => report[key] === null || report[key] === undefined ? NaN : report[key]);

  const show = (state) => {
    at("name").textContent = state.name;
    at("state").textContent = state.happened ? `${state.state}: ${state.happened}` : state.state;
    document.title = `${state.name}: ${state.unit || state.state}`;
    pairs(at("now"), [
      ["stage", state.stage || "–"],
      ["fold", state.fold === null ? "–" : `${state.fold + 1} of ${state.num_folds || "?"}`],
      ["sub-step", state.substep || "–"],
      ["loss", number(state.loss, 5)],
      ["rows a second", state.rows_per_second === null ? "–" : Math.round(state.rows_per_second).toLocaleString("en")],
      ["left in this stage", span(state.seconds_left_in_stage)],
    ]);
    at("progress").value = state.total ? Math.min(state.done / state.total, 1) : 0;
    at("memory").textContent = `${size(state.held_bytes)} now, highest seen ${size(state.peak_bytes)}, budget ${size(state.declared_bytes)}`;
    at("held").value = state.declared_bytes && state.held_bytes ? state.held_bytes / state.declared_bytes : 0;
    const last = state.reports.length ? state.reports[state.reports.length - 1].unit : "";
    const own = state.reports.filter((report) => report.unit === last);
    draw(at("loss"), [{ name: "train", values: column(own, "train_loss") }, { name: "valid", values: column(own, "valid_loss") }]);
    draw(at("ic"), [{ name: "train", values: column(own, "train_ic") }, { name: "valid", values: column(own, "valid_ic") }]);
    at("reports").replaceChildren(...state.reports.slice(-60).reverse().map((report) => {
      const row = document.createElement("tr");
      const wait = report.seconds ? `${(100 * report.loader_wait_seconds / report.seconds).toFixed(1)} %` : "–";
      const texts = [report.unit, report.epoch, report.step === undefined ? "end" : report.step, number(report.train_loss, 5), number(report.valid_loss, 5), number(report.train_ic, 4), number(report.valid_ic, 4), number(report.valid_rank_ic, 4), wait];
      row.append(...texts.map((text) => {
        const cell = document.createElement("td");
        cell.textContent = String(text);
        return cell;
      }));
      return row;
    }));
    const machine = state.machine;
    const gpu = machine.gpu ? `, GPU ${machine.gpu.join("; ")}` : "";
    at("machine").textContent = `machine: load ${machine.load} on ${machine.cores} cores, ${size(machine.available_bytes)} of ${size(machine.memory_bytes)} available${gpu}`;
    at("finished").textContent = state.finished.length ? `finished: ${state.finished.join(", ")}` : "no unit is finished";
  };

  const turn = async () => {
    try {
      const answer = await fetch("state.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
    } catch (error) {
      at("state").textContent = "the watcher has ended: start seawall watch again";
    }
    window.setTimeout(turn, 1000);
  };
  turn();
})();
