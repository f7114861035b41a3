"""Questions that tests ask a page in a real browser, as JavaScript that answers them."""

CONTRAST = """
() => {
  const parse = (text) => {
    const parts = (text.match(/[\\d.]+/g) || []).map(Number);
    return text.startsWith("rgb") ? [parts[0], parts[1], parts[2], parts.length > 3 ? parts[3] : 1] : null;
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat([1]);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour && colour[3] > 0) layers.push(colour);
      if (colour && colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = colour.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faults = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, style, noscript, .modebar, .skip")) continue;
    if (!element.checkVisibility() || !element.getClientRects().length) continue;
    // A line switched off is drawn pale, as a control that is not in use may be.
    const item = element.closest(".legend .traces");
    if (item && Number(getComputedStyle(item).opacity) < 1) continue;
    const style = getComputedStyle(element), svg = element instanceof SVGElement;
    const ink = parse(svg ? style.fill : style.color), paper = behind(element);
    const [a, b] = [light(over(ink, paper)), light(paper)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    looked += 1;
    if (ratio < (large ? 3 : 4.5)) faults.push(`${ratio.toFixed(2)} ${node.textContent.trim().slice(0, 40)}`);
  }
  return { looked, faults };
}
"""
"""Every text that can be seen against what is behind it: WCAG AA, 4.5 to 1, or 3 to 1 for large text."""

OUTSIDE_WIDTH = """
() => [...document.querySelectorAll("main *")]
  .filter((e) => !e.closest(".scroll, pre, svg, nav, .js-plotly-plot"))
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 30)}`)
"""
"""Elements that reach beyond the right edge without a scroll of their own."""

FOCUSED = """
() => {
  const e = document.activeElement, style = getComputedStyle(e);
  return { tag: e.tagName, text: (e.getAttribute("aria-label") || e.textContent || "").trim().slice(0, 60),
           ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 };
}
"""
"""What has the keyboard now, and whether that can be seen."""

CHARTS = """
() => [...document.querySelectorAll("div.chart")].map((place) => ({
  name: place.id,
  drawn: !!place.querySelector(".main-svg") && !!place.querySelector(".trace, .point, .hm, .points, image"),
  wide: place.querySelector(".main-svg") ? place.querySelector(".main-svg").getBoundingClientRect().width : 0,
}))
"""

UNFOCUSABLE = """
() => [...document.querySelectorAll("a[href], button:not([hidden]), summary, .scroll, .legend .traces")]
  .filter((e) => e.checkVisibility() && e.tabIndex < 0)
  .map((e) => e.outerHTML.slice(0, 80))
"""
"""Controls and scrolling parts that the keyboard cannot reach."""
