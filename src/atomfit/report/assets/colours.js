// Colours whose steps look equal (viridis), one for what is above and below zero, and their bars.

const viridis = ["440154", "482475", "414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725"].map(
  rgbOf,
);
const blueToRed = ["2b5c9e", "6f9bcb", "c3d7e9", "ffffff", "f0c3b3", "d57a62", "a82f28"].map(rgbOf);
const paperToInk = ["ffffff", "000000"].map(rgbOf);
const inkToPaper = [...paperToInk].reverse();
const kindColours = ["3b6fb0", "e0912f", "3f9b62", "b4464b", "8461a9", "8a6d57", "d187b8", "8f8f2f", "4fb3bf", "55606b"].map(rgbOf);
const unknownColour = [176, 182, 188];

function rgbOf(hex) {
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
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
  const [width, left, right] = [420, 14, 14];
  const inner = width - left - right;
  const steps = Array.from({ length: 64 }, (_, i) =>
    mark("rect", { x: left + (i * inner) / 64, y: 2, width: inner / 64 + 0.6, height: 12, fill: cssOf(colourAt(scale, (i + 0.5) / 64)) }),
  );
  const ticks = ticksOf(low, high, 5).map((value) => {
    const x = left + ((value - low) / (high - low)) * inner;
    return mark("line", { x1: x, x2: x, y1: 14, y2: 18, class: "tick" }) + words(x, 30, brief(value), { "text-anchor": "middle" });
  });
  const frame = mark("rect", { x: left, y: 2, width: inner, height: 12, class: "frame" });
  return svg(width, 52, steps.join("") + frame + ticks.join("") + words(width / 2, 47, label, { "text-anchor": "middle" }));
}

// Which colour stands for which name.
function colourKey(entries) {
  const across = entries.length === 4 ? 4 : 3;
  const entry = ([name, colour], i) => {
    const [x, y] = [22 + (405 / across) * (i % across), 14 + 22 * Math.floor(i / across)];
    return mark("circle", { cx: x, cy: y, r: 8, fill: cssOf(colour) }) + words(x + 14, y + 4, name || "none");
  };
  return svg(420, Math.max(52, 6 + 22 * Math.ceil(entries.length / across)), entries.map(entry).join(""));
}
