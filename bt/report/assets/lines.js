/* Curves and bars over one axis, drawn as SVG as wide as the screen, with a line that follows pointer and arrow keys. */
"use strict";
(() => {
  const { data, drawn, number, signed } = window.btReport;
  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 74, RIGHT = 10, GAP = 34, FOOT = 22;

  const svg = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  /* Round numbers between low and high, about `count` of them. */
  const rounds = (low, high, count) => {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw) || 10 * power;
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
    return { found, step };
  };

  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle; else high = middle;
    }
    return x - xs[low] <= xs[high] - x ? low : high;
  };

  /* spec: from, to (of x); panels with title, height, digits, unit, series (name, x, y, kind line | area | bar, color); ticks [x, label]; label(x). */
  const stack = (element, readout, spec) => {
    const guide = spec.guide || spec.panels[0].series[0].x;
    let at = -1;
    const place = () => { };
    const view = { place };

    const draw = () => {
      const width = Math.max(element.clientWidth, 240);
      const inner = width - LEFT - RIGHT;
      const height = spec.panels.reduce((sum, p) => sum + p.height + GAP, FOOT - 14);
      const image = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", "font-size": 11, fill: "currentColor" });
      const sx = (x) => LEFT + (spec.to > spec.from ? (x - spec.from) / (spec.to - spec.from) : 0.5) * inner;
      let top = GAP - 14;
      for (const panel of spec.panels) {
        drawPanel(image, panel, { top, inner, width, sx });
        top += panel.height + GAP;
      }
      const bottom = top - GAP;
      let free = -Infinity;
      for (const [x, label] of spec.ticks) {
        const px = sx(x), half = label.length * 3.1;
        if (px - half < free || px + half > width) continue;
        image.append(svg("line", { x1: px, x2: px, y1: bottom, y2: bottom + 4, stroke: "var(--shade)" }));
        image.append(svg("text", { x: px, y: bottom + 16, "text-anchor": "middle", fill: "var(--muted)" }, label));
        free = px + half + 14;
      }
      const line = svg("line", { y1: GAP - 14, y2: bottom, stroke: "var(--text)", "stroke-dasharray": "3 3", visibility: "hidden" });
      image.append(line);
      element.replaceChildren(image);
      view.place = () => {
        if (at < 0) return;
        const px = sx(guide[at]);
        line.setAttribute("x1", px);
        line.setAttribute("x2", px);
        line.setAttribute("visibility", "visible");
      };
      view.place();
      view.x = (pixel) => spec.from + ((pixel - LEFT) / inner) * (spec.to - spec.from);
    };

    const drawPanel = (image, panel, { top, inner, width, sx }) => {
      let low = Infinity, high = -Infinity;
      for (const series of panel.series) for (const y of series.y) if (y !== null) { low = Math.min(low, y); high = Math.max(high, y); }
      if (panel.zero || low === Infinity) { low = Math.min(low, 0); high = Math.max(high, 0); }
      if (low === high && panel.below) low -= 1; // a curve that is never above 0
      if (low === high) { const pad = Math.abs(low) * 0.01 || 1; low -= panel.zero && low === 0 ? 0 : pad; high += pad; }
      const sy = (y) => top + (high - y) / (high - low) * panel.height;
      const { found, step } = rounds(low, high, panel.height > 120 ? 5 : 3);
      const digits = Math.min(Math.max(0, Math.ceil(-Math.log10(step) + 1e-9)) + (step < 1 && (step * 10 ** Math.ceil(-Math.log10(step))) % 1 ? 1 : 0), 8);
      image.append(svg("text", { x: 0, y: top - 10, fill: "var(--muted)" }, panel.title));
      for (const y of found) {
        const py = sy(y);
        image.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: py, y2: py, stroke: y === 0 ? "var(--shade)" : "var(--grid)" }));
        image.append(svg("text", { x: LEFT - 6, y: py + 4, "text-anchor": "end", fill: "var(--muted)" }, number(y, digits) + panel.unit));
      }
      for (const series of panel.series) drawSeries(image, series, sx, sy, inner);
    };

    const drawSeries = (image, series, sx, sy, inner) => {
      if (series.kind === "bar") {
        const wide = Math.max(inner / Math.max(series.x.length, 1) - 1, 1);
        series.x.forEach((x, i) => {
          const y = series.y[i];
          if (y === null) return;
          image.append(svg("rect", { x: sx(x) - wide / 2, width: wide, y: Math.min(sy(y), sy(0)), height: Math.abs(sy(y) - sy(0)), fill: y < 0 ? "var(--down)" : "var(--up)" }));
        });
        return;
      }
      const points = series.x.map((x, i) => series.y[i] === null ? null : `${sx(x).toFixed(1)},${sy(series.y[i]).toFixed(1)}`).filter((p) => p);
      if (!points.length) return;
      const color = `var(--${series.color})`;
      if (series.kind === "area") {
        const first = sx(series.x[0]).toFixed(1), last = sx(series.x[series.x.length - 1]).toFixed(1), zero = sy(0).toFixed(1);
        image.append(svg("path", { d: `M${first},${zero} L${points.join(" L")} L${last},${zero} Z`, fill: color, "fill-opacity": 0.35 }));
      }
      image.append(svg("path", { d: `M${points.join(" L")}`, fill: "none", stroke: color, "stroke-width": 1.4, "stroke-linejoin": "round", ...(series.dash ? { "stroke-dasharray": series.dash } : {}) }));
    };

    const tell = (index) => {
      at = Math.max(0, Math.min(guide.length - 1, index));
      const x = guide[at];
      const parts = spec.panels.flatMap((panel) => panel.series.map((series) => {
        const y = series.x.length ? series.y[nearest(series.x, x)] : null;
        return `${series.name} ${(panel.signed ? signed : number)(y, panel.digits)}${panel.unit}`;
      }));
      readout.textContent = `${spec.label(at)}: ${parts.join(", ")}`;
      view.place();
    };

    if (!guide.length) { element.textContent = "No session."; return; }
    drawn(element, draw);
    element.addEventListener("pointermove", (event) => tell(nearest(guide, view.x(event.clientX - element.getBoundingClientRect().left))));
    element.addEventListener("keydown", (event) => {
      const far = Math.max(Math.round(guide.length / 20), 1);
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -far, PageDown: far, Home: -guide.length, End: guide.length }[event.key];
      if (!step) return;
      event.preventDefault();
      tell(at < 0 ? (step > 0 && step < guide.length ? 0 : step > 0 ? guide.length - 1 : 0) : at + step);
    });
  };

  const compared = data.compared;
  if (compared) {
    const panel = (title, key, more) => ({ title, digits: 2, unit: " %", zero: true, ...more, series: compared.runs.map((run) => ({ name: run.name, x: run.x, y: run[key], kind: "line", color: run.color, dash: run.dash })) });
    stack(document.getElementById("compared-chart"), document.getElementById("compared-readout"), {
      from: 0, to: Math.max(compared.sessions.length - 1, 1), ticks: compared.ticks, guide: compared.sessions.map((_, i) => i),
      label: (i) => compared.sessions[i],
      panels: [panel("Growth", "growth", { height: 240, signed: true }), panel("Drawdown", "drawdown", { height: 110, below: true })],
    });
  }

  const curves = data.curves;
  if (!curves) return;
  let clock;
  const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  try { clock = new Intl.DateTimeFormat("sv-SE", { ...options, timeZone: curves.zone }); } catch { clock = new Intl.DateTimeFormat("sv-SE", { ...options, timeZone: "UTC" }); }
  const e = curves.equity, x = curves.exposure;
  stack(document.getElementById("equity-chart"), document.getElementById("equity-readout"), {
    from: 0, to: Math.max(curves.count - 1, 1), ticks: curves.days,
    label: (i) => clock.format(e.t[i] * 60000),
    panels: [
      { title: "Equity", height: 220, digits: 2, unit: "", series: [{ name: "equity", x: e.x, y: e.equity, kind: "line", color: "accent" }] },
      { title: "Drawdown", height: 90, digits: 2, unit: " %", zero: true, below: true, series: [{ name: "drawdown", x: e.x, y: e.drawdown, kind: "area", color: "down" }] },
      { title: "Exposure: gross, and net (dashed)", height: 90, digits: 1, unit: " %", zero: true, series: [
        { name: "gross", x: x.x, y: x.gross, kind: "line", color: "accent" },
        { name: "net", x: x.x, y: x.net, kind: "line", color: "up", dash: "4 3" }] },
    ],
  });
  const m = curves.minutes;
  const times = m.first.map((minute, i) => [minute, m.label[i]]), whole = times.filter(([, label]) => label.endsWith(":00"));
  stack(document.getElementById("minutes-chart"), document.getElementById("minutes-readout"), {
    from: 0, to: Math.max(m.first[m.first.length - 1] || 1, 1), ticks: whole.length > 2 ? whole : times,
    label: (i) => `from ${m.label[i]}`,
    panels: [
      { title: "Mean return, basis points", height: 110, digits: 3, unit: " bp", zero: true, signed: true, series: [{ name: "mean", x: m.first, y: m.bp, kind: "bar" }] },
      { title: "Its running sum", height: 90, digits: 2, unit: " bp", zero: true, signed: true, series: [{ name: "since the open", x: m.first, y: m.sum, kind: "line", color: "accent" }] },
    ],
  });
})();
