// The faults of the page, as texts: names, roles, headings, tables, contrast. Run as a function body in the page.
const faults = [];
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const want = (right, words) => { if (!right) faults.push(words); };

const ids = all("[id]").map((element) => element.id);
want(new Set(ids).size === ids.length, "an id stands twice");
for (const landmark of ["header", "nav[aria-label]", "main", "footer", "form[role=search][aria-label]"]) {
  want(all(landmark).length === 1, `not one ${landmark}`);
}
want(document.documentElement.lang === "en", "no language");
want(all("h1").length === 1, "not one h1");
for (const section of all("section")) {
  const title = document.getElementById(section.getAttribute("aria-labelledby"));
  want(title && title.tagName === "H2", `section ${section.id} has no title`);
}
for (const chart of all("svg.chart")) {
  const [title, words] = chart.children;
  want(chart.getAttribute("role") === "img", "a chart without a role");
  want(title.tagName === "title" && title.textContent && words.tagName === "desc" && words.textContent, "a chart without a name");
}
for (const field of all("input, select")) want(field.labels.length === 1, `field ${field.id} has no label`);
for (const button of all("button")) want(button.textContent.trim(), "a button without a name");
for (const table of all("table")) {
  want(table.caption && table.caption.textContent, "a table without a caption");
  want(all("th", table).every((head) => head.scope), "a head without a scope");
  want(table.parentElement.tabIndex === 0, "a scrolling part that the keyboard does not reach");
}
for (const id of ["runs", "phases", "timeline", "slowest"]) {
  const section = document.getElementById(id);
  const charts = all("svg.chart g[data-at], svg.chart circle, svg.chart rect", section).length > 2;
  want(!charts || all("table", section).length === 1, `the charts of ${id} have no table`);
}
for (const element of all("[style], [onclick], img, iframe, link, script[src]")) faults.push(`${element.tagName} should not be here`);

// WCAG AA: 4.5 for text, whatever its size.
const parse = (colour) => {
  const parts = colour.match(/[\d.]+/g).map(Number);
  return parts.length < 4 ? [...parts, 1] : parts;
};
const light = ([red, green, blue]) => {
  const linear = [red, green, blue].map((part) => {
    part /= 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const surface = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return [255, 255, 255, 1];
};
const dull = new Set();
for (const element of all("body *")) {
  const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!words || !element.offsetParent || element.closest("svg, script, style")) continue;
  const [one, two] = [light(parse(getComputedStyle(element).color)), light(surface(element))];
  const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  if (contrast < 4.5) dull.add(`${element.tagName}.${element.className} has a contrast of ${contrast.toFixed(2)}`);
}
return [...faults, ...dull];
