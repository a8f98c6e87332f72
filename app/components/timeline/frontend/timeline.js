// The browser side of the timeline: a range input that stands where the page says, except while its
// reader moves it and until the page has heard of that. The data are described in component.py.

// After the last movement of a drag.
const SETTLING_MS = 150;
// For the page to follow a report, which may get lost with a connection.
const PATIENCE_MS = 5000;
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

export default class Timeline {
  constructor(parentElement) {
    this.root = document.createElement("label");
    this.root.className = "timeline";
    this.label = document.createElement("span");
    this.input = document.createElement("input");
    this.input.type = "range";
    this.root.append(this.label, this.input);
    parentElement.append(this.root);

    this.data = null;
    this.number = 0; // of the last report
    this.reportedAt = -Infinity;
    this.pressed = false;
    this.timer = 0; // runs between a movement and its report

    this.input.addEventListener("input", () => this.move());
    this.input.addEventListener("keydown", (event) => this.step(event));
    this.input.addEventListener("pointerdown", () => (this.pressed = true));
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      this.input.addEventListener(end, () => this.release());
    }
  }

  destroy() {
    clearTimeout(this.timer);
    this.root.remove();
  }

  receive(data, _urls, send) {
    this.send = send;
    if (data === this.data) return;
    this.data = data;
    this.label.textContent = data.label;
    this.input.title = data.help;
    this.input.setAttribute("aria-label", data.name);
    this.input.setAttribute("aria-valuetext", data.label);
    this.input.max = data.total;
    this.input.disabled = data.disabled;
    this.follow();
  }

  follow() {
    const late = performance.now() - this.reportedAt > PATIENCE_MS;
    const heard = this.number === 0 || this.data.heard === this.number || late;
    if (heard && !this.pressed && !this.timer) this.input.value = this.data.position;
    this.fill();
  }

  fill() {
    const { value, max } = this.input;
    this.input.style.setProperty("--share", max > 0 ? value / max : 0);
  }

  move() {
    this.fill();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.report({ position: Number(this.input.value) });
    }, SETTLING_MS);
  }

  // To the moment before or after, wherever that is.
  step(event) {
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page has the same keys
    this.report({ step });
  }

  release() {
    this.pressed = false;
    this.follow();
  }

  report(what) {
    this.number = Date.now() + Math.random();
    this.reportedAt = performance.now();
    this.send("reported", { number: this.number, ...what });
  }
}
