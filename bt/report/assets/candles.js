/* Candle charts of the symbols and sessions in the file, by TradingView's Lightweight Charts. */
"use strict";
(() => {
  const { data, color, node, drawn, number, signed } = window.btReport;
  const told = data.candles;
  if (!told || !told.charts.length) return;
  const get = (id) => document.getElementById(id);
  const F = Object.fromEntries(told.fill.map((name, i) => [name, i]));
  const many = (count, of) => `${count} ${of}${count === 1 ? "" : "s"}`;
  const key = (one) => `${one.symbol}\n${one.session}`;
  const orders = {
    symbol: (a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : a.session < b.session ? -1 : 1),
    session: (a, b) => (a.session < b.session ? -1 : a.session > b.session ? 1 : a.symbol < b.symbol ? -1 : 1),
    best: (a, b) => b.pnl - a.pnl,
    worst: (a, b) => a.pnl - b.pnl,
  };
  let listed = [...told.charts], at = 0, chart = null, ticket = 0;

  /* ------------------------------------------------------------------ unpacking */
  const inflate = async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  };
  const sums = (steps) => { let sum = 0; return steps.map((step) => (sum += step)); };

  /* minute, open, high, low, close, volume of each bar */
  const unpack = (packed) => {
    const minutes = sums(packed.t), closes = sums(packed.c), scale = 10 ** packed.p, volumes = 10 ** packed.q;
    return minutes.map((minute, i) => {
      const open = packed.o[i] + (i ? closes[i - 1] : closes[0]), close = closes[i];
      const high = packed.h[i] + Math.max(open, close), low = Math.min(open, close) - packed.l[i];
      return { minute, open: open / scale, high: high / scale, low: low / scale, close: close / scale, volume: packed.v[i] / volumes };
    });
  };

  /* stretches of the session's minutes without a bar, and its breaks: [first, end), in minutes from the open */
  const holes = (bars, segments) => {
    const have = new Set(bars.map((bar) => bar.minute)), gaps = [], breaks = [];
    segments.forEach(([open, close], n) => {
      if (n) breaks.push([segments[n - 1][1], open]);
      for (let minute = open; minute < close; minute += 1) {
        if (have.has(minute)) continue;
        const last = gaps[gaps.length - 1];
        if (last && last[1] === minute && minute !== open) last[1] = minute + 1; else gaps.push([minute, minute + 1]);
      }
    });
    return { gaps, breaks };
  };

  /* ------------------------------------------------------------------ what the library does not draw: shading and levels */
  class Backdrop {
    constructor() { this.bands = []; this.lines = []; }
    attached({ chart: owner, series, requestUpdate }) { this.owner = owner; this.series = series; this.update = requestUpdate; }
    show(bands, lines) { this.bands = bands; this.lines = lines; if (this.update) this.update(); }
    paneViews() {
      const x = (minute, edge) => { // the edge of a bar's own width
        const middle = this.owner.timeScale().logicalToCoordinate(minute);
        return middle === null ? null : middle + edge * this.owner.timeScale().options().barSpacing / 2;
      };
      const views = (order, draw) => ({ zOrder: () => order, renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace((scope) => draw(scope.context, scope.mediaSize)) }) });
      return [
        views("bottom", (context, size) => {
          for (const band of this.bands) {
            const from = x(band.from, -1), to = x(band.to - 1, 1);
            if (from === null || to === null) continue;
            context.globalAlpha = band.kind === "break" ? 0.28 : 0.16;
            context.fillStyle = color(band.kind === "break" ? "shade" : "down");
            context.fillRect(from, 0, Math.max(to - from, 1), size.height);
          }
          context.globalAlpha = 1;
        }),
        views("top", (context) => {
          context.setLineDash([5, 3]);
          context.lineWidth = 1.5;
          for (const line of this.lines) {
            const from = x(line.from, -1), to = x(Math.max(line.to - 1, line.from), 1), y = this.series.priceToCoordinate(line.price);
            if (from === null || to === null || y === null) continue;
            context.strokeStyle = color(line.kind);
            context.beginPath();
            context.moveTo(from, y);
            context.lineTo(Math.max(to, from + 3), y);
            context.stroke();
          }
          context.setLineDash([]);
        }),
      ];
    }
  }

  /* ------------------------------------------------------------------ the chart */
  const colors = () => ({
    layout: { background: { type: "solid", color: color("bg") }, textColor: color("muted"), attributionLogo: false, fontFamily: "system-ui, sans-serif" },
    grid: { vertLines: { color: color("grid") }, horzLines: { color: color("grid") } },
    timeScale: { borderColor: color("line") },
    rightPriceScale: { borderColor: color("line") },
  });
  const candleColors = () => ({ upColor: color("bg"), downColor: color("shade"), borderUpColor: color("text"), borderDownColor: color("shade"), wickUpColor: color("text"), wickDownColor: color("shade") });

  const make = () => {
    const L = window.LightweightCharts;
    const made = L.createChart(get("candles-chart"), {
      autoSize: true, ...colors(), crosshair: { mode: 0 }, localization: { locale: "en-US" },
      timeScale: { ...colors().timeScale, timeVisible: true, secondsVisible: false, minBarSpacing: 0.05 },
      handleScroll: { vertTouchDrag: false }, handleScale: { mouseWheel: false },
    });
    get("candles-chart").querySelector("table").setAttribute("role", "presentation"); // it lays its panes out in one
    const candles = made.addSeries(L.CandlestickSeries, { ...candleColors(), priceLineVisible: false, lastValueVisible: false });
    const volume = made.addSeries(L.HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false, color: color("line") });
    volume.priceScale().applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
    candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.18 } });
    const backdrop = new Backdrop();
    candles.attachPrimitive(backdrop);
    return { made, candles, volume, backdrop, markers: L.createSeriesMarkers(candles, []) };
  };

  const marker = (fill, bars, session) => {
    const buys = fill[F.side] === "buy", place = Math.max(fill[F.bar], 0);
    return {
      time: session.open + bars[place].minute * 60, position: buys ? "belowBar" : "aboveBar", shape: buys ? "arrowUp" : "arrowDown",
      color: color(buys ? "up" : "down"), text: "", size: 1.5,
    };
  };

  const clock = (session, minute) => new Date((session.open + minute * 60) * 1000).toISOString().slice(11, 16);

  const table = (fills, bars, session) => {
    const several = told.strategies.length > 1, tagged = fills.some((fill) => fill[F.tag]);
    get("fills").className = several ? "left4" : "left3";
    const heads = ["Time", "Side", "Order", ...(several ? ["Strategy"] : []), "Shares", "Price", "Commission", "Slippage", "Position", "Bar's low", "Bar's high", ...(tagged ? ["Tag"] : [])];
    const head = node("thead"), row = node("tr"), body = node("tbody");
    for (const name of heads) row.append(node("th", name, { scope: "col" }));
    head.append(row);
    for (const fill of fills) {
      const bar = bars[fill[F.bar]], line = node("tr", undefined, { "data-bar": fill[F.bar], "data-minute": fill[F.minute] });
      line.append(node("th", clock(session, fill[F.minute]), { scope: "row" }));
      line.append(node("td", fill[F.side] + (fill[F.ambiguous] ? " ~" : ""), { class: fill[F.side] === "buy" ? "up" : "down" }), node("td", fill[F.type]));
      if (several) line.append(node("td", told.strategies[fill[F.strategy]] || ""));
      const cells = [number(fill[F.shares], 0), price(fill[F.price]), price(fill[F.commission]), price(fill[F.slippage]), number(fill[F.position], 0),
        bar ? price(bar.low) : "–", bar ? price(bar.high) : "–", ...(tagged ? [fill[F.tag]] : [])];
      for (const text of cells) line.append(node("td", text));
      body.append(line);
    }
    const caption = fills.length ? `Fills (${fills.length}${fills.some((fill) => fill[F.ambiguous]) ? "; ~ in an ambiguous bar" : ""})` : "No fill in this session";
    get("fills-caption").textContent = caption;
    get("fills").replaceChildren(node("caption", caption, { class: "hidden" }), head, body);
  };
  const price = (value) => value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 8 });

  const show = async () => {
    const one = listed[at], mine = ticket += 1, began = performance.now();
    const packed = await inflate(one.data);
    if (mine !== ticket) return; // another one was chosen meanwhile
    const bars = unpack(packed), session = told.sessions[one.session], { gaps, breaks } = holes(bars, session.segments);
    chart = chart || make();
    const last = session.segments[session.segments.length - 1][1], byMinute = new Map(bars.map((bar) => [bar.minute, bar]));
    const candles = [], volumes = [];
    for (let minute = 0; minute < last; minute += 1) { // a place for every minute, so that gaps are as wide as they are long
      const bar = byMinute.get(minute), time = session.open + minute * 60;
      candles.push(bar ? { time, open: bar.open, high: bar.high, low: bar.low, close: bar.close } : { time });
      volumes.push(bar ? { time, value: bar.volume } : { time });
    }
    const digits = Math.max(packed.p, 2);
    chart.candles.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
    chart.candles.setData(candles);
    chart.volume.setData(volumes);
    const bands = [...gaps.map(([from, to]) => ({ from, to, kind: "gap" })), ...breaks.map(([from, to]) => ({ from, to, kind: "break" }))];
    chart.backdrop.show(bands, packed.s.map(([kind, level, from, to]) => ({ kind, price: level, from, to })));
    const markers = bars.length ? packed.f.map((fill) => marker(fill, bars, session)).sort((a, b) => a.time - b.time) : [];
    chart.markers.setMarkers(markers);
    chart.made.timeScale().fitContent();
    table(packed.f, bars, session);
    const lost = gaps.reduce((sum, [from, to]) => sum + to - from, 0);
    const range = bars.length ? `open ${price(bars[0].open)}, high ${price(Math.max(...bars.map((b) => b.high)))}, low ${price(Math.min(...bars.map((b) => b.low)))}, close ${price(bars[bars.length - 1].close)}; ` : "";
    get("candles-told").textContent = `${one.symbol}, ${one.session}${session.early ? " (half day)" : ""}: ${range}${many(one.fills, "fill")}, net P&L ${signed(one.pnl, 2)}; ${lost ? `${many(lost, "minute")} missing in ${many(gaps.length, "gap")}` : "no minute missing"}. Times of ${told.zone}.`;
    window.btReport.candles = { symbol: one.symbol, session: one.session, bars, gaps, breaks, levels: packed.s, fills: packed.f, markers, chart: chart.made, ms: performance.now() - began };
  };

  /* ------------------------------------------------------------------ choosing */
  const list = get("pairs"), symbols = get("pick-symbol"), sessions = get("pick-session");
  const cents = Math.max(...told.charts.map((one) => Math.abs(one.pnl))) < 100 ? 2 : 0;
  const fillList = () => list.replaceChildren(...listed.map((one, i) => {
    const option = node("div", undefined, { role: "option", id: `pair-${i}`, "aria-selected": "false" });
    option.append(node("span", one.symbol), node("span", one.session), node("span", signed(one.pnl, cents), { class: one.pnl < 0 ? "down" : "up" }));
    option.addEventListener("click", () => choose(i));
    return option;
  }));
  const options = (select, values, chosen) => {
    select.replaceChildren(...values.map((value) => node("option", value, { value })));
    select.value = chosen;
  };
  const choose = (i) => {
    at = Math.max(0, Math.min(listed.length - 1, i));
    const one = listed[at];
    list.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    const option = list.children[at];
    option.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", option.id);
    list.scrollTop = Math.min(Math.max(list.scrollTop, option.offsetTop - list.offsetTop + option.offsetHeight - list.clientHeight), option.offsetTop - list.offsetTop);
    symbols.value = one.symbol;
    options(sessions, told.charts.filter((c) => c.symbol === one.symbol).map((c) => c.session).sort(), one.session);
    return show();
  };
  const find = (symbol, session) => {
    const exact = listed.findIndex((one) => one.symbol === symbol && one.session === session);
    return exact >= 0 ? exact : listed.findIndex((one) => one.symbol === symbol);
  };
  options(symbols, [...new Set(told.charts.map((one) => one.symbol))].sort(), listed[0].symbol);
  fillList();
  symbols.addEventListener("change", () => choose(find(symbols.value, sessions.value)));
  sessions.addEventListener("change", () => choose(find(symbols.value, sessions.value)));
  get("pick-previous").addEventListener("click", () => choose((at + listed.length - 1) % listed.length));
  get("pick-next").addEventListener("click", () => choose((at + 1) % listed.length));
  get("pick-order").addEventListener("change", (event) => {
    const kept = key(listed[at]);
    listed = [...told.charts].sort(orders[event.target.value]);
    fillList();
    choose(event.target.value === "symbol" || event.target.value === "session" ? listed.findIndex((one) => key(one) === kept) : 0);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -listed.length, End: listed.length }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(at + step);
  });
  drawn(get("candles-chart"), () => {
    if (!chart) return;
    chart.made.applyOptions(colors());
    chart.candles.applyOptions(candleColors());
    chart.volume.applyOptions({ color: color("line") });
    if (window.btReport.candles) {
      const shown = window.btReport.candles;
      shown.markers = shown.bars.length ? shown.fills.map((fill) => marker(fill, shown.bars, told.sessions[shown.session])).sort((a, b) => a.time - b.time) : [];
      chart.markers.setMarkers(shown.markers);
    }
    chart.made.timeScale().fitContent();
  });
  addEventListener("beforeprint", () => { // a canvas is drawn in the next frame, which paper does not wait for
    if (!chart) return;
    const paper = get("candles-paper");
    paper.src = chart.made.takeScreenshot().toDataURL();
    paper.hidden = false;
  });
  choose(told.first ? Math.max(find(...told.first), 0) : 0);
})();
