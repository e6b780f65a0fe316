/* The heat map of quality: a canvas, and a cell that pointer and arrow keys choose. */
"use strict";
(() => {
  const { data, color, drawn } = window.btReport;
  const told = data.quality, element = document.getElementById("heat");
  if (!told || !element) return;
  const readout = document.getElementById("heat-readout");
  const rows = told.rows.length, columns = told.columns.length;
  if (!rows || !columns) { element.textContent = "No session."; return; }
  const cells = Uint8Array.from(atob(told.cells), (c) => c.charCodeAt(0));
  const early = new Set(told.early), out = new Set(told.out);
  const TOP = 30, FOOT = 4;
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  element.append(canvas);
  let chosen = null, box = null;

  const name = (bin) => bin.length === 1 ? bin[0] : `${bin[0]} to ${bin[1]}`;

  const parse = (text) => { // a colour as three numbers
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = text;
    return [1, 3, 5].map((i) => parseInt(probe.fillStyle.slice(i, i + 2), 16));
  };

  const draw = () => {
    const context = canvas.getContext("2d");
    context.font = "11px system-ui, sans-serif";
    const widest = Math.max(...told.rows.map((r) => context.measureText(r[0]).width));
    const left = Math.min(Math.ceil(widest) + 10, 110);
    const width = Math.max(element.clientWidth, left + columns * 2 + 2);
    const wide = (width - left - 2) / columns, high = rows <= 12 ? 18 : rows <= 40 ? 14 : 9;
    const height = TOP + rows * high + FOOT, ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    context.scale(ratio, ratio);
    const full = parse(color("panel")), bad = parse(color("down"));
    const shades = Array.from({ length: 201 }, (_, v) => {
      const share = v >= 200 ? 0 : 0.12 + 0.88 * (1 - v / 200) ** 0.6; // a single missing minute must be seen
      return `rgb(${full.map((f, i) => Math.round(f + (bad[i] - f) * share)).join(",")})`;
    });
    for (let r = 0; r < rows; r += 1) {
      for (let c = 0; c < columns; c += 1) {
        const value = cells[r * columns + c];
        if (value === 255) continue;
        context.fillStyle = shades[value];
        context.fillRect(left + c * wide, TOP + r * high, Math.max(wide - (wide > 5 ? 1 : 0), 1), high - 1);
      }
    }
    context.fillStyle = color("muted");
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    const every = Math.ceil(13 / high);
    for (let r = 0; r < rows; r += every) context.fillText(told.rows[r][0], 0, TOP + r * high + high / 2, left - 6);
    let free = -1;
    for (let c = 0; c < columns; c += 1) {
      const x = left + c * wide;
      if (early.has(c)) context.fillText("▾", x + wide / 2 - 4, TOP - 5);
      if (out.has(c)) { context.fillStyle = color("down"); context.fillRect(x, TOP - 4, Math.max(wide - 1, 1), 3); context.fillStyle = color("muted"); }
      if (x < free || x + 62 > width) continue;
      context.fillText(told.columns[c][0], x, 8);
      context.fillRect(x, 16, 1, 4);
      free = x + 74;
    }
    box = { left, wide, high };
    if (chosen) {
      context.strokeStyle = color("text");
      context.lineWidth = 2;
      context.strokeRect(left + chosen.c * wide, TOP + chosen.r * high, Math.max(wide, 3), high);
    }
  };

  const choose = (r, c) => {
    chosen = { r: Math.max(0, Math.min(rows - 1, r)), c: Math.max(0, Math.min(columns - 1, c)) };
    const value = cells[chosen.r * columns + chosen.c];
    const marks = [early.has(chosen.c) ? ", half day" : "", out.has(chosen.c) ? ", outage" : ""].join("");
    readout.textContent = `${name(told.rows[chosen.r])}, ${name(told.columns[chosen.c])}: ${value === 255 ? "no value" : `${(value / 2).toFixed(1)} %`}${marks}`;
    draw();
  };
  canvas.addEventListener("pointermove", (event) => {
    const at = canvas.getBoundingClientRect();
    const r = Math.floor((event.clientY - at.top - TOP) / box.high), c = Math.floor((event.clientX - at.left - box.left) / box.wide);
    if (r >= 0 && r < rows && c >= 0 && c < columns && !(chosen && chosen.r === r && chosen.c === c)) choose(r, c);
  });
  element.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    if (chosen) choose(chosen.r + move[0], chosen.c + move[1]); else choose(0, 0);
  });
  drawn(element, draw);
})();
