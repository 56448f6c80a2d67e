// Columns of a table as colours: numbers by a scale, kinds by colours of their own.

const colourSteps = 64;

function paintNumbers(column, scale = viridis, [low, high] = column.range ?? colourRange(column.values)) {
  const palette = Array.from({ length: colourSteps }, (_, i) => colourAt(scale, i / (colourSteps - 1)));
  const step = (value) => Math.round(((value - low) / (high - low)) * (colourSteps - 1));
  const colourOf = (value) => palette[Math.min(Math.max(step(value), 0), colourSteps - 1)];
  const colours = column.values.map((value) => (value === null ? unknownColour : colourOf(value)));
  return { colours, bar: colourBar(scale, [low, high], labelOf(column)) };
}

// Words that sort atoms into a few kinds (the element of an alloy, the structure about an atom), or their numbers.
function tellsKinds({ name, group, numeric, values }) {
  const { size } = numeric && group !== "Kinds" ? new Set() : new Set(values);
  return (size > 1 || name in (report.kinds ?? {})) && size <= kindColours.length;
}

// Kinds that have colours of their own keep them, whichever are there.
function paintKinds(column) {
  const own = report.kinds?.[column.name];
  const sorted = (kinds) => (column.numeric ? kinds.sort((a, b) => a - b) : kinds.sort());
  const names = own ? Object.keys(own) : sorted([...new Set(finite(column.values))]);
  const colourOf = (name) => (name === null ? unknownColour : own ? rgbOf(own[name]) : kindColours[names.indexOf(name)]);
  return { colours: column.values.map(colourOf), bar: colourKey(names.map((name) => [String(name), colourOf(name)])) };
}
