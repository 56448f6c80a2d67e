// Colours whose steps look equal (viridis), one for what is above and below zero, and their bars.

const viridis = ["440154", "482475", "414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725"].map(
  rgbOf,
);
const blueToRed = ["2b5c9e", "6f9bcb", "c3d7e9", "ffffff", "f0c3b3", "d57a62", "a82f28"].map(rgbOf);
const paperToInk = ["ffffff", "000000"].map(rgbOf);
const inkToPaper = [...paperToInk].reverse();
const kindColours = report.palette.map(rgbOf);
const unknownColour = [176, 182, 188];

// Of #rrggbb, or rrggbb.
function rgbOf(hex) {
  return [6, 4, 2].map((from) => parseInt(hex.slice(hex.length - from, hex.length - from + 2), 16));
}

// What is drawn on canvases has the style's colours, which are others in the dark; paper is always light.
const theme = {
  drawings: [],
  read() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["paper", "ink", "frame", "mark"]) this[name] = style.getPropertyValue(`--${name}`).trim();
  },
  change() {
    this.read();
    for (const draw of this.drawings) draw();
  },
};

theme.read();
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme.change());
for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(event, () => {
    document.documentElement.classList.toggle("printing", printing);
    theme.change();
  });
}

// The colour at a part, from 0 to 1, of a scale.
function colourAt(scale, part) {
  const place = Math.min(Math.max(part, 0), 1) * (scale.length - 1);
  const below = Math.min(Math.floor(place), scale.length - 2);
  return scale[below].map((value, i) => Math.round(value + (place - below) * (scale[below + 1][i] - value)));
}

function cssOf([red, green, blue]) {
  return `rgb(${red},${green},${blue})`;
}

// Most of a column: single outliers would leave all others one colour.
function colourRange(values) {
  const known = finite(values);
  if (!known.length) return [0, 1];
  const [low, high] = known.every(Number.isInteger) ? endsOf(known) : [quantile(known, 0.02), quantile(known, 0.98)];
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

function colourBar(scale, [low, high], label) {
  const [width, left, right] = [420, 26, 26];
  const inner = width - left - right;
  const steps = Array.from({ length: 64 }, (_, i) =>
    mark("rect", { x: left + (i * inner) / 64, y: 2, width: inner / 64 + 0.6, height: 12, fill: cssOf(colourAt(scale, (i + 0.5) / 64)) }),
  );
  const ticks = ticksThatFit(low, high, 5, inner).map((value) => {
    const x = left + ((value - low) / (high - low)) * inner;
    return mark("line", { x1: x, x2: x, y1: 14, y2: 18, class: "tick" }) + centred(x, 30, brief(value, 6), width);
  });
  const frame = mark("rect", { x: left, y: 2, width: inner, height: 12, class: "frame" });
  return svg(width, 52, steps.join("") + frame + ticks.join("") + words(width / 2, 47, label, { "text-anchor": "middle" }));
}

// Which colour stands for which name.
function colourKey(entries) {
  const longest = Math.max(...entries.map(([name]) => name.length), 4);
  const across = Math.min(Math.max(Math.floor(408 / (30 + 7.5 * longest)), 1), 4, entries.length);
  const entry = ([name, colour], i) => {
    const [x, y] = [22 + (408 / across) * (i % across), 14 + 22 * Math.floor(i / across)];
    return mark("circle", { cx: x, cy: y, r: 8, fill: cssOf(colour) }) + words(x + 14, y + 4, name || "none");
  };
  return svg(420, Math.max(52, 6 + 22 * Math.ceil(entries.length / across)), entries.map(entry).join(""));
}
