// The browser side of the live chart: holds the figure, applies updates to it, lets Plotly redraw.
// The messages are described in delta.py.

const RETRY_MS = 3000;
// How far outside the window a chart is drawn already, so that scrolling meets finished ones.
const NEAR = "150px";
// Plotly takes up to 100 ms after a drag to make a drawn outline part of the layout; a redraw
// before would lose it.
const SETTLING_MS = 200;
// A press that moves no further is a click, in pixels.
const STILL = 4;
// Room above the drawing for the heading in a saved picture, in pixels.
const HEADING = 34;

let plotlyLoading = null;

function loadPlotly(url) {
  plotlyLoading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      plotlyLoading = null;
      reject(new Error("The chart library could not be loaded."));
    };
    document.head.append(script);
  });
  return plotlyLoading;
}

export default class LiveChart {
  constructor(parentElement, { plotly }) {
    this.plotlyUrl = plotly;
    this.frame = makeElement("div", "live-chart-frame");
    this.heading = makeElement("h2", "live-chart-title");
    this.node = makeElement("div", "live-chart");
    this.frame.append(this.heading, this.node);
    parentElement.append(this.frame);

    this.title = null;
    this.figure = null; // { base, seq, revision, layout, traces }
    this.data = null;
    this.palette = null;
    this.config = null;
    this.size = "";
    this.needsDraw = false;
    this.drawing = false;
    this.pressed = false;
    this.releaseTimer = 0;
    this.pressedAt = [0, 0];
    this.spatialPoint = null; // of a 3D trace, under the pointer
    this.reported = null;
    this.resyncTimer = 0;
    this.csvTimer = 0; // runs while a CSV file is asked for

    this.resizing = new ResizeObserver(() => this.fit());
    this.resizing.observe(this.node);
    // A drawing that nobody sees would take the cores from training: it waits until it is near.
    this.near = false;
    this.watching = new IntersectionObserver(
      (entries) => {
        this.near = entries.at(-1).isIntersecting;
        this.draw();
      },
      // The page scrolls inside an element of Streamlit's, which the root's margin leaves alone.
      { rootMargin: NEAR, scrollMargin: NEAR },
    );
    this.watching.observe(this.node);
    // A redraw in the middle of a drag would take the chart from under the pointer.
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.node.addEventListener("pointerdown", (event) => this.press(event), { signal });
    this.node.addEventListener("click", (event) => this.clickInSpace(event), { signal });
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      window.addEventListener(end, () => this.release(), { signal });
    }
    loadPlotly(plotly).catch(() => {}); // fetched while the first update is being read
  }

  destroy() {
    clearTimeout(this.resyncTimer);
    clearTimeout(this.csvTimer);
    clearTimeout(this.releaseTimer);
    this.resizing.disconnect();
    this.watching.disconnect();
    this.listeners.abort();
    window.Plotly?.purge(this.node);
    this.frame.remove();
    this.node = null;
  }

  receive(data, _urls, send) {
    this.send = send;
    if (data !== this.data) {
      this.data = data;
      this.describe(data);
      if (data.csv && this.csvTimer) this.saveCsv(data.csv[1]);
      if (this.apply(data.update)) this.needsDraw = true;
    }
    const palette = readPalette(this.node);
    if (JSON.stringify(palette) !== JSON.stringify(this.palette)) {
      this.palette = palette;
      this.needsDraw = true;
    }
    this.draw();
  }

  describe({ title, alt, selectable, lasso, offers_csv: offersCsv }) {
    if (title !== this.title) {
      this.title = title;
      this.heading.hidden = !title;
      this.heading.replaceChildren(...withSubscripts(title));
    }
    this.node.dataset.selectable = selectable;
    this.node.dataset.lasso = lasso;
    this.node.dataset.csv = offersCsv;
    if (alt) {
      // No "img", whose buttons would be hidden from those who do not see it.
      this.node.setAttribute("role", "figure");
      this.node.setAttribute("aria-label", alt);
    } else {
      this.node.removeAttribute("role");
      this.node.removeAttribute("aria-label");
    }
  }

  // Brings the figure up to date; returns whether there is anything new to see.
  apply(update) {
    if (update.kind === "full") {
      const { base, seq, revision, layout } = update;
      this.figure = { base, seq, revision, layout, traces: unpack(update.traces) };
      this.settle();
      return true;
    }
    const { figure } = this;
    const fits = figure?.base === update.base && update.since <= figure.seq && figure.seq <= update.seq;
    if (!fits) {
      this.askForAll();
      return false;
    }
    this.settle();
    const isNew = figure.seq < update.seq;
    for (const { trace, path, start, values } of update.tails) {
      appendTail(figure.traces[trace], path, start, unpack(values));
    }
    if (update.layout) figure.layout = update.layout;
    figure.seq = update.seq;
    return isNew;
  }

  askForAll() {
    if (this.resyncTimer) return;
    this.send("resync", this.figure ? { base: this.figure.base, seq: this.figure.seq } : {});
    this.resyncTimer = setTimeout(() => {
      this.resyncTimer = 0;
      this.askForAll();
    }, RETRY_MS);
  }

  askForCsv() {
    clearTimeout(this.csvTimer);
    this.send("csv_wanted", true);
    this.csvTimer = setTimeout(() => this.askForCsv(), RETRY_MS);
  }

  saveCsv(text) {
    clearTimeout(this.csvTimer);
    this.csvTimer = 0;
    // The mark tells spreadsheets that the text is UTF-8.
    const file = new Blob(["\uFEFF", text], { type: "text/csv;charset=utf-8" });
    const link = makeElement("a", "");
    link.href = URL.createObjectURL(file);
    link.download = `${this.data.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 0);
  }

  // The page's background goes into the file: light text on nothing is lost on a white slide.
  savePicture(Plotly, format) {
    const { data, layout, clientWidth, clientHeight } = this.node;
    const heading = this.title ? HEADING : 0;
    const title = this.title && {
      title: { text: escaped(this.title), pad: { t: 12 } },
      margin: { ...layout.margin, t: (this.node._fullLayout.margin.t ?? 0) + heading },
    };
    return Plotly.downloadImage(
      { data, layout: { ...layout, paper_bgcolor: this.palette.background, ...title } },
      {
        format,
        filename: this.data.name,
        width: clientWidth,
        height: clientHeight + heading,
        scale: format === "png" ? 2 : 1,
      },
    );
  }

  settle() {
    clearTimeout(this.resyncTimer);
    this.resyncTimer = 0;
  }

  // Updates that arrive while a drawing is under way are drawn together after it.
  async draw() {
    if (this.drawing) return;
    this.drawing = true;
    try {
      const Plotly = await loadPlotly(this.plotlyUrl);
      while (this.isDue()) {
        this.needsDraw = false;
        await this.react(Plotly);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.drawing = false;
    }
  }

  isDue() {
    return (
      this.needsDraw && this.figure && this.near && this.node?.clientWidth && !this.pressed
    );
  }

  async react(Plotly) {
    const { node, figure } = this;
    const isFirst = !this.config;
    if (isFirst) {
      node.replaceChildren();
      this.config = makeConfig(Plotly, this);
    }
    // Plotly notes zoom and hidden traces in what it is given; copies keep the figure clean.
    const traces = figure.traces.map((trace) => ({ ...trace }));
    this.size = sizeOf(node);
    await Plotly.react(node, traces, this.themedLayout(), this.config);
    if (isFirst && this.node) {
      node.on("plotly_hover", ({ points }) => this.note(points[0]));
      node.on("plotly_unhover", () => this.note(null));
      node.on("plotly_click", ({ points, event }) => {
        this.note(points[0]);
        if (!this.spatialPoint) this.click(nearest(points, event, node));
      });
      // A plain click comes as a selection without data, although the outline stays.
      node.on("plotly_selected", (selection) => selection && this.report(selection.points));
      node.on("plotly_deselect", () => this.report([]));
    }
  }

  themedLayout() {
    const { layout, revision } = this.figure;
    return {
      ...structuredClone(layout),
      template: makeTemplate(this.palette, Boolean(layout.title?.text), this.data.lasso),
      uirevision: revision,
      autosize: true,
    };
  }

  fit() {
    if (!this.node?.clientWidth) return;
    if (this.needsDraw) {
      this.draw(); // it became visible only now
    } else if (this.config && sizeOf(this.node) !== this.size) {
      this.size = sizeOf(this.node);
      window.Plotly.Plots.resize(this.node);
    }
  }

  note(point) {
    this.spatialPoint = point?.fullData?.scene ? point : null;
  }

  click(point) {
    if (this.data.selectable) this.send("clicked", describePoint(point));
  }

  // In space Plotly calls a press a click, even one that goes on to turn the scene, and overlooks
  // what is pressed and released between two of its frames.
  clickInSpace({ target, clientX, clientY }) {
    const [x, y] = this.pressedAt;
    const isStill = Math.hypot(clientX - x, clientY - y) <= STILL;
    const isOnScene = target.closest(".gl-container");
    if (this.spatialPoint && isStill && isOnScene) this.click(this.spatialPoint);
  }

  press({ clientX, clientY }) {
    clearTimeout(this.releaseTimer);
    this.pressed = true;
    this.pressedAt = [clientX, clientY];
    this.reported = null;
  }

  // Plotly tells of one outline several times: once drawn, and when a drawing takes it over.
  report(points) {
    if (!this.data.lasso) return;
    const selected = points.map((point) => point.customdata).filter((data) => data != null);
    const text = JSON.stringify(selected);
    if (text === this.reported) return;
    this.reported = text;
    this.send("selected", selected);
  }

  release() {
    if (!this.pressed) return;
    clearTimeout(this.releaseTimer);
    this.releaseTimer = setTimeout(() => {
      this.pressed = false;
      this.draw();
    }, SETTLING_MS);
  }

  fail(error) {
    console.error(error);
    if (!this.node || this.config) return;
    const message = document.createElement("p");
    message.className = "live-chart-failure";
    message.textContent = `${error.message} Reload the page to try again.`;
    this.node.replaceChildren(message);
  }
}

// --- data ---------------------------------------------------------------------------------------

const PACKED_TYPES = {
  i1: Int8Array,
  u1: Uint8Array,
  i2: Int16Array,
  u2: Uint16Array,
  i4: Int32Array,
  f4: Float32Array,
  f8: Float64Array,
};

function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.bdata === "string") return unpackArray(value);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, unpack(item)]));
}

// Always float64, so that tails of any type fit on.
function unpackArray({ dtype, bdata, shape }) {
  const bytes = Uint8Array.from(atob(bdata), (character) => character.charCodeAt(0));
  const values = Float64Array.from(new PACKED_TYPES[dtype](bytes.buffer));
  if (shape.length === 1) return values;
  const [rows, columns] = shape;
  return Array.from({ length: rows }, (_, row) =>
    values.subarray(row * columns, (row + 1) * columns),
  );
}

// Appends what the trace does not have yet. Makes a new array and new parents, since Plotly takes
// an unchanged array to mean unchanged data.
function appendTail(trace, path, start, values) {
  const names = path.split(".");
  const last = names.pop();
  let place = trace;
  for (const name of names) {
    place[name] = Array.isArray(place[name]) ? [...place[name]] : { ...place[name] };
    place = place[name];
  }
  const known = place[last];
  const tail = values.slice(known.length - start);
  if (tail.length) place[last] = concatenate(known, tail);
}

function concatenate(head, tail) {
  if (!ArrayBuffer.isView(head)) return [...head, ...tail];
  const joined = new Float64Array(head.length + tail.length);
  joined.set(head);
  joined.set(Float64Array.from(tail, (value) => value ?? NaN), head.length);
  return joined;
}

// --- clicks -------------------------------------------------------------------------------------

// In the unified hover modes a click reports one point of every trace.
function nearest(points, event, node) {
  const frame = node.getBoundingClientRect();
  const distance = ({ xaxis, yaxis, x, y }) =>
    Math.hypot(
      xaxis._offset + xaxis.d2p(x) - (event.clientX - frame.left),
      yaxis._offset + yaxis.d2p(y) - (event.clientY - frame.top),
    );
  const isPlaced = points.every(({ xaxis, yaxis }) => xaxis?.d2p && yaxis?.d2p);
  if (points.length === 1 || !isPlaced) return points[0];
  return points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
}

function describePoint({ curveNumber, pointNumber, pointIndex, customdata, x, y }) {
  return {
    curve_number: curveNumber,
    point_index: pointNumber ?? pointIndex,
    customdata: customdata ?? null,
    x: x ?? null,
    y: y ?? null,
  };
}

// --- text and size ------------------------------------------------------------------------------

function makeElement(kind, className) {
  const element = document.createElement(kind);
  element.className = className;
  return element;
}

// Nodes of a text in which <sub>...</sub> is the only markup.
function withSubscripts(text) {
  return text.split(/<sub>(.*?)<\/sub>/).map((part, index) => {
    if (index % 2 === 0) return part;
    const sub = document.createElement("sub");
    sub.textContent = part;
    return sub;
  });
}

// The same text as Plotly takes it, for which more than <sub> is markup.
function escaped(text) {
  return text.replaceAll("&", "&amp;").replace(/<(?!\/?sub>)/g, "&lt;");
}

function sizeOf({ clientWidth, clientHeight }) {
  return `${clientWidth} x ${clientHeight}`;
}

// --- looks --------------------------------------------------------------------------------------

function readPalette(node) {
  const style = getComputedStyle(node);
  const read = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const list = (name) => read(name).split(/,(?![^(]*\))/).map((colour) => colour.trim());
  return {
    text: read("text-color"),
    muted: read("gray-text-color"),
    background: read("background-color"),
    raised: read("secondary-background-color"),
    line: read("border-color"),
    grid: read("border-color-light"),
    accent: read("primary-color"),
    font: read("font"),
    categories: list("chart-categorical-colors"),
    sequential: list("chart-sequential-colors"),
    diverging: list("chart-diverging-colors"),
  };
}

function makeTemplate(palette, hasTitle, lasso) {
  const scale = (colours) => colours.map((colour, i) => [i / (colours.length - 1), colour]);
  const colourBar = {
    outlinewidth: 0,
    thickness: 12,
    ypad: 0,
    tickfont: { color: palette.muted },
  };
  const mapped = [{ autocolorscale: true, colorbar: colourBar }];
  const axis = {
    automargin: true,
    gridcolor: palette.grid,
    linecolor: palette.line,
    zeroline: false,
    zerolinecolor: palette.line,
    tickcolor: palette.line,
    tickfont: { color: palette.muted },
    title: { font: { color: palette.muted, size: 13 }, standoff: 8 },
  };
  const spatialAxis = {
    color: palette.muted,
    gridcolor: palette.line,
    zerolinecolor: palette.line,
    showbackground: false,
    showspikes: false,
  };
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: palette.font, size: 12, color: palette.text },
      title: {
        font: { size: 15 },
        x: 0,
        xanchor: "left",
        xref: "paper",
        y: 1,
        yanchor: "top",
        yref: "container",
        pad: { t: 4 },
      },
      colorway: palette.categories,
      colorscale: {
        sequential: scale(palette.sequential),
        sequentialminus: scale(palette.sequential),
        diverging: scale(palette.diverging),
      },
      coloraxis: { colorbar: colourBar },
      margin: { l: 12, r: 16, t: hasTitle ? 60 : 32, b: 12 },
      xaxis: { ...axis, showgrid: false, showline: true, ticks: "outside", ticklen: 4 },
      yaxis: axis,
      scene: { xaxis: spatialAxis, yaxis: spatialAxis, zaxis: spatialAxis },
      ...(lasso && { dragmode: "lasso" }),
      // Plotly's own contrasts with a background, of which there is none.
      newselection: { line: { color: palette.accent, width: 2, dash: "dot" } },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" },
      shapedefaults: { line: { color: palette.muted, width: 1 } },
      annotationdefaults: { font: { color: palette.muted }, arrowcolor: palette.muted },
      hoverlabel: {
        bgcolor: palette.raised,
        bordercolor: palette.line,
        font: { family: palette.font, size: 12, color: palette.text },
      },
      modebar: {
        bgcolor: "rgba(0,0,0,0)",
        color: palette.muted,
        activecolor: palette.accent,
        remove: lasso ? [] : ["select2d", "lasso2d"],
      },
    },
    data: { heatmap: mapped, contour: mapped, histogram2d: mapped },
  };
}

function makeConfig(Plotly, chart) {
  const button = (format, click) => ({
    name: `save-${format}`,
    title: `Save as ${format}`,
    icon: () => {
      const label = makeElement("span", "live-chart-save");
      label.textContent = format;
      return label;
    },
    click,
  });
  return {
    // Plotly's own "Share chart..." button uploads the data to its makers.
    showSendToCloud: false,
    displaylogo: false,
    displayModeBar: "hover",
    showTips: false,
    modeBarButtonsToRemove: ["toImage", "autoScale2d"],
    modeBarButtonsToAdd: [
      button("PNG", () => chart.savePicture(Plotly, "png")),
      button("SVG", () => chart.savePicture(Plotly, "svg")),
      button("CSV", () => chart.askForCsv()),
    ],
  };
}
