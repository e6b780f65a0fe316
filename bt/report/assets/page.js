/* What every page of ours does: its data, the theme, printing. Each script of ours is one function of its own. */
"use strict";
window.btReport = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const drawings = [];
  const themes = ["system", "light", "dark"];
  const root = document.documentElement;
  let theme = "system";
  let printing = false;

  const redraw = () => drawings.forEach((draw) => draw());
  const apply = (name) => {
    if (name === "system") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", name);
    redraw();
  };
  const remembered = (name) => {
    try { // a browser may forbid it to local files
      if (name === undefined) return localStorage.getItem("bt-report-theme");
      localStorage.setItem("bt-report-theme", name);
    } catch { /* then it is forgotten */ }
    return null;
  };
  const choose = (name) => {
    theme = themes.includes(name) ? name : "system";
    document.getElementById("theme").textContent = `Theme: ${theme}`;
    apply(theme);
  };

  const color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const node = (tag, text, attributes) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    return made;
  };
  /* Draws now, when the width changes and when colours do. */
  const drawn = (element, draw) => {
    drawings.push(draw);
    let width = element.clientWidth;
    draw();
    new ResizeObserver(() => {
      if (element.clientWidth === width) return;
      width = element.clientWidth;
      draw();
    }).observe(element);
  };

  const number = (value, digits) => value === null || value === undefined ? "–"
    : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative" }); // no -0
  const signed = (value, digits) => (value > 0 ? "+" : "") + number(value, digits);

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      choose(themes[(themes.indexOf(theme) + 1) % themes.length]);
      remembered(theme);
    });
    choose(remembered() || "system");
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  });
  /* Paper is white, and shows what is folded. */
  const opened = [];
  addEventListener("beforeprint", () => {
    if (printing) return;
    printing = true;
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
    apply("light");
  });
  addEventListener("afterprint", () => {
    printing = false;
    for (const details of opened.splice(0)) details.open = false;
    apply(theme);
  });
  return { data, color, node, drawn, number, signed };
})();
