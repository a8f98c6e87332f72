// The browser side of the tour: a modal dialog over the page, with a card and a frame round the part
// of the page that the card tells of. It only reads the page: where a part stands may change with
// every update of a live page, so the frame follows.

const SEEN = "adadfq-tour";
const FOLLOW_MS = 200;
// For a page that takes long to be drawn.
const PATIENCE_MS = 60_000;
// Between the part, its frame, the card and the window's edge, in pixels.
const ROOM = 6;
const GAP = 14;

export default class Tour {
  constructor(parentElement) {
    this.timer = 0;
    this.step = 0;
    this.steps = [];
    this.offered = false;

    this.button = element("button", "start");
    this.button.addEventListener("click", () => this.open());
    this.dialog = element("dialog", "tour");
    this.frame = element("div", "frame");
    this.card = element("div", "card");
    this.count = element("p", "count");
    this.title = element("h2", "title");
    this.text = element("p", "text");
    this.title.id = "tour-title";
    this.text.id = "tour-text";
    this.dialog.setAttribute("aria-labelledby", this.title.id);
    this.dialog.setAttribute("aria-describedby", this.text.id);
    this.skip = element("button", "skip");
    this.back = element("button", "back");
    this.next = element("button", "next");
    const buttons = element("div", "buttons");
    buttons.append(this.skip, this.back, this.next);
    this.card.append(this.count, this.title, this.text, buttons);
    this.dialog.append(this.frame, this.card);
    parentElement.append(this.button, this.dialog);

    this.skip.addEventListener("click", () => this.dialog.close());
    this.back.addEventListener("click", () => this.show(this.step - 1));
    this.next.addEventListener("click", () => this.show(this.step + 1));
    this.dialog.addEventListener("keydown", (event) => this.keep(event));
    // Also after Escape, for which the browser closes it. It gives the focus back as well.
    this.dialog.addEventListener("close", () => this.stop());
    this.place = this.place.bind(this);
  }

  destroy() {
    this.stop();
    this.button.remove();
    this.dialog.remove();
  }

  receive({ words, steps, byItself }) {
    this.words = words;
    this.all = steps;
    this.button.textContent = words.button;
    if (this.offered) return;
    this.offered = true;
    if (byItself && !seen()) this.openOnceDrawn(Date.now() + PATIENCE_MS);
  }

  openOnceDrawn(deadline) {
    // Streamlit may put another instance in the place of this one while the page is first drawn.
    if (this.dialog.isConnected && find(this.all[0].places)) this.open();
    else if (Date.now() < deadline) {
      this.timer = setTimeout(() => this.openOnceDrawn(deadline), FOLLOW_MS);
    }
  }

  open() {
    this.stop();
    this.steps = this.all.filter(({ places }) => find(places));
    if (!this.steps.length) return;
    this.dialog.showModal();
    remember();
    window.addEventListener("resize", this.place);
    this.timer = setInterval(this.place, FOLLOW_MS);
    this.show(0);
  }

  stop() {
    clearTimeout(this.timer);
    clearInterval(this.timer);
    window.removeEventListener("resize", this.place);
  }

  show(step) {
    if (step >= this.steps.length) {
      this.dialog.close();
      return;
    }
    const { words } = this;
    const { title, text, places } = this.steps[step];
    this.step = step;
    this.count.textContent = words.step
      .replace("{step}", step + 1)
      .replace("{count}", this.steps.length);
    this.title.textContent = title;
    this.text.textContent = text;
    this.skip.textContent = words.skip;
    this.back.textContent = words.back;
    this.next.textContent = step + 1 < this.steps.length ? words.next : words.done;
    this.skip.hidden = step + 1 === this.steps.length;
    this.back.hidden = step === 0;
    find(places)?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.place();
    // A reader that speaks says the new title and text, which describe what has the focus.
    this.next.focus();
  }

  // Tab goes round in the card: the browser's own controls are reached when it is closed.
  keep(event) {
    if (event.key !== "Tab") return;
    const buttons = [this.skip, this.back, this.next].filter((each) => !each.hidden);
    const step = event.shiftKey ? buttons.length - 1 : 1;
    const at = buttons.indexOf(this.dialog.getRootNode().activeElement);
    buttons[(at + step) % buttons.length].focus();
    event.preventDefault();
  }

  place() {
    const part = find(this.steps[this.step].places);
    this.frame.hidden = !part;
    const box = part?.getBoundingClientRect() ?? new DOMRect(innerWidth / 2, innerHeight / 3, 0, 0);
    const frame = {
      left: Math.max(box.left - ROOM, 2),
      top: Math.max(box.top - ROOM, 2),
      right: Math.min(box.right + ROOM, innerWidth - 2),
      bottom: Math.min(box.bottom + ROOM, innerHeight - 2),
    };
    moveTo(this.frame, frame.left, frame.top);
    this.frame.style.width = `${frame.right - frame.left}px`;
    this.frame.style.height = `${frame.bottom - frame.top}px`;
    const { offsetWidth: width, offsetHeight: height } = this.card;
    moveTo(this.card, ...beside(frame, width, height));
  }
}

// The corner of a card: below the frame where there is room, else right of it, above or left.
function beside(frame, width, height) {
  const across = within(frame.left, innerWidth - width);
  const along = within(frame.top, innerHeight - height);
  if (frame.bottom + GAP + height + GAP <= innerHeight) return [across, frame.bottom + GAP];
  if (frame.right + GAP + width + GAP <= innerWidth) return [frame.right + GAP, along];
  if (frame.top - GAP - height - GAP >= 0) return [across, frame.top - GAP - height];
  return [within(frame.left - GAP - width, innerWidth - width), along];
}

function within(wanted, most) {
  return Math.max(GAP, Math.min(wanted, most - GAP));
}

function moveTo(node, left, top) {
  node.style.left = `${left}px`;
  node.style.top = `${top}px`;
}

function find(places) {
  for (const place of places) {
    const part = document.querySelector(place);
    if (part?.checkVisibility({ visibilityProperty: true })) return part;
  }
  return null;
}

// Without a store for it, a tour that comes again and again would be worse than none.
function seen() {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return true;
  }
}

function remember() {
  try {
    localStorage.setItem(SEEN, "seen");
  } catch {
    // The button starts it all the same.
  }
}

function element(tag, name) {
  const node = document.createElement(tag);
  node.className = name;
  if (tag === "button") node.type = "button";
  return node;
}
