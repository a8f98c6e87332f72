// The browser side of the gallery: makes the tiles and changes only what an update changes.
// The data are described in component.py.

const NOT_LOADED = "The images could not be loaded. Reload the page to try again.";

// How each property of a tile is shown. `caption` also names the button.
const SHOW = {
  caption: (button, value) => {
    button.lastChild.textContent = value;
    button.setAttribute("aria-label", value.replaceAll("\n", ", "));
  },
  title: (button, value) => (button.title = value),
  colour: (button, value) => button.style.setProperty("--mark", value),
  column: (button, value) => button.style.setProperty("--column", value),
  row: (button, value) => button.style.setProperty("--row", value),
  selected: (button, value) => button.setAttribute("aria-pressed", value),
};

export default class Gallery {
  constructor(parentElement) {
    this.failure = document.createElement("p");
    this.failure.className = "failure";
    this.failure.hidden = true;
    this.grid = document.createElement("div");
    this.grid.className = "gallery";
    this.grid.setAttribute("role", "group");
    this.grid.addEventListener("click", (event) => this.click(event));
    this.grid.addEventListener("keydown", (event) => this.move(event));
    this.grid.addEventListener("focusin", (event) => this.enter(this.indexOf(event.target)));
    parentElement.append(this.failure, this.grid);

    this.data = null;
    this.image = null; // the sprite that is shown; the reference keeps it decoded
    this.tiles = []; // what each button shows, in their order
    this.ids = []; // of these
    this.selected = null; // id
    this.entry = 0; // index of the only tile that Tab stops at
  }

  destroy() {
    this.failure.remove();
    this.grid.remove();
  }

  async receive(data, { sprite }, send) {
    this.send = send;
    if (data === this.data) return;
    this.data = data;
    try {
      // Captions wait for their images: both change at once.
      const image = await this.load(sprite);
      if (data !== this.data) return;
      if (!this.failure.hidden) this.failure.hidden = true;
      this.show(image);
    } catch (error) {
      if (data !== this.data) return;
      console.error(error);
      this.failure.textContent = NOT_LOADED;
      this.failure.hidden = false;
    }
  }

  async load(url) {
    if (this.image?.src === url) return this.image;
    const image = new Image();
    image.src = url;
    await image.decode();
    return image;
  }

  show(image) {
    const { sprite, tileWidth, alt, selected } = this.data;
    const tileHeight = Math.round((tileWidth * sprite.height) / sprite.width);
    this.image = image;
    setProperties(this.grid, {
      "--sprite": `url("${image.src}")`,
      "--columns": sprite.columns,
      "--rows": sprite.rows,
      "--tile-width": `${tileWidth}px`,
      "--tile-height": `${tileHeight}px`,
    });
    if (this.grid.ariaLabel !== alt) this.grid.ariaLabel = alt;
    const tiles = listTiles(this.data);
    this.setLength(tiles.length);
    tiles.forEach((tile, index) => {
      for (const [name, value] of Object.entries(tile)) {
        if (value !== this.tiles[index]?.[name]) SHOW[name](this.grid.children[index], value);
      }
    });
    this.tiles = tiles;
    this.ids = this.data.tiles.ids;
    const index = this.ids.indexOf(selected);
    const isNews = selected !== this.selected && index >= 0 && !this.grid.matches(":focus-within");
    this.selected = selected;
    this.enter(isNews ? index : Math.min(this.entry, tiles.length - 1));
  }

  setLength(length) {
    while (this.grid.children.length > length) this.grid.lastChild.remove();
    const added = document.createDocumentFragment();
    for (let i = this.grid.children.length; i < length; i++) added.append(makeButton());
    this.grid.append(added);
  }

  indexOf(element) {
    return [...this.grid.children].indexOf(element.closest(".tile"));
  }

  enter(index) {
    const { children } = this.grid;
    if (children[index].tabIndex === 0) return;
    if (children[this.entry]) children[this.entry].tabIndex = -1;
    children[index].tabIndex = 0;
    this.entry = index;
  }

  click({ target }) {
    const index = this.indexOf(target);
    if (index >= 0) this.send("clicked", this.ids[index]);
  }

  move(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { children } = this.grid;
    const across = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const index = this.indexOf(event.target);
    const aim = {
      ArrowLeft: index - 1,
      ArrowRight: index + 1,
      ArrowUp: index - across,
      ArrowDown: index + across,
      Home: 0,
      End: children.length - 1,
    }[event.key];
    if (aim === undefined) return;
    event.preventDefault();
    children[aim]?.focus();
  }
}

function listTiles({ tiles, sprite, selected }) {
  return tiles.ids.map((id, index) => ({
    caption: tiles.captions[index],
    title: tiles.titles[index],
    colour: tiles.colours[index],
    column: index % sprite.columns,
    row: Math.floor(index / sprite.columns),
    selected: id === selected,
  }));
}

function makeButton() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "tile";
  button.tabIndex = -1;
  for (const name of ["picture", "caption"]) {
    const part = document.createElement("span");
    part.className = name;
    button.append(part);
  }
  return button;
}

// Setting what is set already would still count as a change of the page.
function setProperties({ style }, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (style.getPropertyValue(name) !== String(value)) style.setProperty(name, value);
  }
}
