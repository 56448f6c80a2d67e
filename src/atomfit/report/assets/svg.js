// Drawings as text, and the frame that all charts share: two axes with ticks, names and units.

const frameMargin = { left: 72, right: 14, top: 12, bottom: 46 };

function escaped(text) {
  return String(text).replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
}

function rounded(value) {
  return typeof value === "number" ? Math.round(value * 100) / 100 : value;
}

function mark(tag, attributes, inside = "") {
  const listed = Object.entries(attributes).map(([name, value]) => ` ${name}="${escaped(rounded(value))}"`);
  return `<${tag}${listed.join("")}>${inside}</${tag}>`;
}

function words(x, y, text, attributes = {}) {
  return mark("text", { x, y, ...attributes }, escaped(text));
}

// Large drawings are made smaller on a phone, and their words larger.
function svg(width, height, inside) {
  return mark("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: width > 400 ? "large" : "" }, inside);
}

// Room for a sign of the words in a drawing, at their largest.
const widthOfSign = 9.8;

// Round numbers between two others, about so many.
function ticksOf(low, high, about) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

// Words about a place, or as near to it as they are within a drawing's width.
function centred(x, y, text, width) {
  const half = 1 + (text.length * widthOfSign) / 2;
  return words(Math.min(Math.max(x, half), width - half), y, text, { "text-anchor": "middle" });
}

// As many round numbers, up to so many, as have room side by side.
function ticksThatFit(low, high, most, room) {
  for (let about = most; about > 1; about -= 1) {
    const values = ticksOf(low, high, about);
    const widest = Math.max(...values.map((value) => brief(value, 6).length)) * widthOfSign + 6;
    const apart = values.length > 1 ? (room * (values[1] - values[0])) / (high - low) : room;
    if (widest <= apart) return values;
  }
  return ticksOf(low, high, 1).slice(0, 1);
}

// A little more than the values need.
function rangeOf(values, part = 0.04) {
  const [low, high] = endsOf(values);
  // Numbers that differ by their rounding alone are one.
  const apart = high - low > 1e-6 * Math.max(Math.abs(low), Math.abs(high)) ? high - low : 0;
  const space = apart * part || Math.abs(high) * 0.05 || 0.5;
  return [low - space, high + space];
}

// A frame; `draw(x, y)` gives what is in it, from functions that place values. Returns those, and the drawing.
function chart(host, { x, y, draw, name, width = 520, height = 330 }) {
  const { right, top, bottom } = frameMargin;
  const levels = ticksOf(...y.range, 5);
  const left = Math.max(frameMargin.left, 36 + widthOfSign * Math.max(...levels.map((value) => brief(value, 6).length)));
  const toX = (value) => left + ((value - x.range[0]) / (x.range[1] - x.range[0])) * (width - left - right);
  const toY = (value) => height - bottom - ((value - y.range[0]) / (y.range[1] - y.range[0])) * (height - top - bottom);
  const across = ticksThatFit(...x.range, 6, width - left - right).filter((value) => !x.whole || Number.isInteger(value)).map((value) => {
    const at = toX(value);
    const line = mark("line", { x1: at, x2: at, y1: height - bottom, y2: height - bottom + 5, class: "tick" });
    return line + centred(at, height - bottom + 19, brief(value, 6), width);
  });
  const upward = levels.map((value) => {
    const at = toY(value);
    const grid = mark("line", { x1: left, x2: width - right, y1: at, y2: at, class: "grid" });
    const line = mark("line", { x1: left - 5, x2: left, y1: at, y2: at, class: "tick" });
    return grid + line + words(left - 8, at + 4, brief(value, 6), { "text-anchor": "end" });
  });
  const frame = mark("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom, class: "frame" });
  const middle = (top + height - bottom) / 2;
  const most = Math.min(16, (16 * (2 * Math.min(middle, height - middle) - 4)) / (widthOfSign * y.label.length));
  const names =
    words((left + width - right) / 2, height - 8, x.label, { "text-anchor": "middle" }) +
    words(18, middle, y.label, { "text-anchor": "middle", transform: `rotate(-90 18 ${middle})`, style: `--most: ${rounded(most)}px` });
  host.innerHTML = svg(width, height, upward.join("") + across.join("") + draw(toX, toY) + frame + names);
  const drawing = host.firstElementChild;
  drawing.setAttribute("aria-label", name ?? `${y.label} against ${x.label}`);
  return { toX, toY, drawing };
}

// Dots as one path of lines without length: thousands cost as little as one.
function dots(points, toX, toY, name = "dots") {
  return mark("path", { class: name, d: points.map(([x, y]) => `M${rounded(toX(x))} ${rounded(toY(y))}h0`).join("") });
}

function curve(points, toX, toY, name = "curve") {
  return mark("polyline", { class: name, points: points.map(([x, y]) => `${rounded(toX(x))},${rounded(toY(y))}`).join(" ") });
}

// A click on a drawing does something with the nearest of some points (x, y, number), if it is near.
function onNearest(drawing, points, toX, toY, act) {
  drawing.classList.add("clickable");
  drawing.addEventListener("click", (event) => {
    const scale = drawing.viewBox.baseVal.width / drawing.getBoundingClientRect().width;
    const distance = ([x, y]) => Math.hypot(toX(x) - event.offsetX * scale, toY(y) - event.offsetY * scale);
    const nearest = points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
    if (distance(nearest) < 12) act(nearest[2]);
  });
}

// Which line is which, by the lines' classes.
function lineKey(entries) {
  return keyOf(entries, (name) => mark("line", { class: name, x1: 1, x2: 25, y1: 5, y2: 5 }));
}

// The same of dots.
function dotKey(entries) {
  return keyOf(entries, (name) => mark("circle", { class: name, cx: 13, cy: 5, r: 3.5 }));
}

function keyOf(entries, drawn) {
  const key = element("p", { className: "note key" });
  const entry = ([text, name]) => `<span><svg viewBox="0 0 26 10">${drawn(name)}</svg>${escaped(text)}</span>`;
  key.innerHTML = entries.map(entry).join(" ");
  return key;
}
