// What a page shows too faintly, and its headings. Given as one function to a page that is to be
// looked at: texts are measured as they stand, colours blended as the browser blends them.
() => {
  // WCAG 2.2, 1.4.3: ratios for text, and for large text, which begins at 24 px or 18.66 px bold.
  // 1.4.11: for signs that are no text.
  const TEXT = 4.5, LARGE = 3, SIGN = 3;
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  // Red, green, blue in 0..255 and alpha in 0..1 of any spelling of CSS.
  function colour(css) {
    const plain = css.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/);
    if (plain) return [plain[1], plain[2], plain[3], plain[4] ?? 1].map(Number);
    const wide = css.match(/^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)(?: \/ ([\d.e-]+))?\)$/);
    if (wide) return [255 * wide[1], 255 * wide[2], 255 * wide[3], Number(wide[4] ?? 1)];
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  function mix(below, above, share) {
    return below.map((value, index) => value + share * (above[index] - value));
  }

  function over(below, [red, green, blue, alpha]) {
    return mix(below, [red, green, blue], alpha);
  }

  function luminance(rgb) {
    const [red, green, blue] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function ratio(one, other) {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  function parent(node) {
    return node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
  }

  function line(element) {
    const found = [];
    for (let node = element; node; node = parent(node)) found.unshift(node);
    return found;
  }

  // Some texts stand beside the element that holds them, as the value above a slider's thumb.
  function holds(element, { left, top, width, height }) {
    const box = element.getBoundingClientRect();
    const x = left + width / 2, y = top + height / 2;
    return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
  }

  // The colour at the place `box` of the innermost of `elements`, with the text over it or without.
  // An element that lets its background shine through does so with all that it holds.
  function shown(elements, text, box, below) {
    const [first, ...rest] = elements;
    const style = getComputedStyle(first);
    let inner = holds(first, box) ? over(below, colour(style.backgroundColor)) : below;
    if (rest.length) inner = shown(rest, text, box, inner);
    else if (text) inner = over(inner, text);
    return mix(below, inner, Number(style.opacity));
  }

  function disabled(elements) {
    return elements.some(
      (node) => node.matches(":disabled, [disabled], [aria-disabled='true'], [inert]"),
    ) || elements.some(
      // The label of a widget that is switched off.
      (node) => node.matches("[data-testid='stWidgetLabel']") &&
        parent(node)?.querySelector(":disabled, [aria-disabled='true']"),
    );
  }

  function where(elements) {
    const named = elements.filter((node) => /st-key-|^st/.test(`${node.classList} ${node.dataset?.testid ?? ""}`));
    const name = (node) => [...node.classList].find((each) => each.startsWith("st-key-")) ?? node.dataset?.testid ?? "";
    return [...new Set(named.map(name).filter(Boolean))].slice(-3).join(" ") + " " +
      elements.at(-1).tagName.toLowerCase() + "." + (elements.at(-1).getAttribute("class") ?? "").split(" ")[0];
  }

  const faint = [];
  let texts = 0;

  function look(element, text, style, box) {
    // What is hidden from sight, but not from readers that speak, is a pixel large.
    if (!text.trim() || box.width <= 2 || box.height <= 2) return;
    if (!element.checkVisibility({ visibilityProperty: true })) return;
    const elements = line(element);
    // What shows when it is pointed at, such as a chart's buttons.
    if (disabled(elements) || elements.some((node) => getComputedStyle(node).opacity === "0")) return;
    texts += 1;
    const inSvg = element instanceof SVGElement;
    const [red, green, blue, alpha] = colour(inSvg ? style.fill : style.color);
    const ink = [red, green, blue, alpha * (inSvg ? Number(style.fillOpacity) : 1)];
    const page = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
    const found = ratio(shown(elements, ink, box, page), shown(elements, null, box, page));
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    // Such as the square before a name in a legend, or an icon, whose letters are those of its file.
    const sign = element.matches("[data-testid='stIconMaterial']") || !/[\p{L}\p{N}]/u.test(text);
    const least = sign ? SIGN : size >= 24 || (bold && size >= 18.66) ? LARGE : TEXT;
    if (found < least) {
      faint.push({ text: text.trim().slice(0, 60), ratio: found.toFixed(2), least, where: where(elements) });
    }
  }

  function walk(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) {
        const element = node.parentElement ?? node.getRootNode().host;
        if (!element || element.matches("script, style, title, noscript")) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        look(element, node.data, getComputedStyle(element), range.getBoundingClientRect());
        continue;
      }
      if (node.shadowRoot) walk(node.shadowRoot);
      if (!node.matches("input:not([type=range], [type=checkbox], [type=radio]), textarea")) continue;
      const box = node.getBoundingClientRect();
      if (node.value) look(node, node.value, getComputedStyle(node), box);
      else look(node, node.placeholder, getComputedStyle(node, "::placeholder"), box);
    }
  }
  walk(document.body);

  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
    .filter((node) => node.checkVisibility({ visibilityProperty: true }))
    .map((node) => [Number(node.tagName[1]), node.textContent.trim()]);
  const untold = [...document.querySelectorAll(".live-chart, canvas, img, video, [role=img]")]
    .filter((node) => node.checkVisibility({ visibilityProperty: true }))
    .filter((node) => node.getBoundingClientRect().width > 2)
    .filter((node) => !node.closest("[role=img][aria-label], [role=figure][aria-label], [aria-hidden=true]"))
    .filter((node) => !(node.matches("img") && node.getAttribute("alt") !== null))
    .map((node) => where(line(node)));
  return { faint, texts, headings, untold, lang: document.documentElement.lang };
}
