// The page of heights of columns in an HRTEM image.

// Names of the columns with probabilities of 0, 1, ... atoms.
const levels = report.columns.filter(({ name }) => /^p_\d+$/.test(name)).map(({ values }) => values);

// Probabilities of a column's heights, as bars.
function probabilitiesOf(index) {
  const host = element("div");
  const counts = levels.map((values) => values[index]);
  chart(host, {
    x: { label: "atoms", range: [-0.5, levels.length - 0.5], whole: true },
    y: { label: "probability", range: [0, 1] },
    draw: (toX, toY) => bars({ start: -0.5, step: 1, counts }, toX, toY),
    name: "Probabilities of the column's heights",
    width: 300,
    height: 170,
  });
  return host;
}

// How many columns of each height are expected, over the histogram of the likeliest heights.
function expectHeights() {
  const [low, high] = endsOf(columns.get("height").values);
  const all = levels.map((values, k) => [k, values.reduce((total, p) => total + p, 0)]);
  const sum = all.filter(([k]) => k >= low && k <= high);
  expected.set("height", { points: (step) => ({ each: [], sum: sum.map(([k, n]) => [k, step * n]) }) });
  byId("law-words").textContent = "Line: columns of each height as their probabilities have them; bars of heights: the likeliest ones.";
}

function conditionsPanel() {
  const { head, rows, words } = report.conditions;
  byId("conditions-words").textContent = words;
  const told = rows.map(([name, value, esd, unit, prior, priorEsd]) => {
    const pair = (one, its) => (one === null ? "" : its > 0 ? `${asFarAsKnown(one, its)} ± ${asFarAsKnown(its, its)}` : one);
    return [name, pair(value, esd), unit, pair(prior, priorEsd)];
  });
  if (told.length) byId("conditions-table").append(factTable(head, told));
}

// Atoms of each frame, with their standard uncertainties.
function framesPanel() {
  const { frame, atoms, atoms_esd: esds, defocus, columns: positions } = report.frames;
  const ends = atoms.flatMap((value, i) => [value - esds[i], value + esds[i]]);
  const bar = (i, toX, toY) => mark("line", { class: "error", x1: toX(frame[i]), x2: toX(frame[i]), y1: toY(atoms[i] - esds[i]), y2: toY(atoms[i] + esds[i]) });
  chart(byId("frames-atoms"), {
    x: { label: "frame", range: rangeOf(frame, 0.04), whole: true },
    y: { label: "atoms", range: rangeOf(ends, 0.08) },
    draw: (toX, toY) => frame.map((_, i) => bar(i, toX, toY)).join("") + curve(frame.map((k, i) => [k, atoms[i]]), toX, toY),
    name: "Atoms of each frame",
  });
  const other = byId("frames-number");
  const draw = () => {
    const values = other.value === "defocus" ? defocus : positions;
    const points = frame.map((k, i) => [k, values[i]]).filter(([, value]) => value !== null);
    if (!points.length) return nothing(byId("frames-other"), "There are no numbers to show.");
    chart(byId("frames-other"), {
      x: { label: "frame", range: rangeOf(frame, 0.04), whole: true },
      y: { label: other.selectedOptions[0].textContent, range: rangeOf(points.map(([, value]) => value), 0.08) },
      draw: (toX, toY) => curve(points, toX, toY) + dots(points, toX, toY),
    });
  };
  other.onchange = draw;
  draw();
}

if (report.frames) framesPanel();
numbersPanel();
conditionsPanel();
expectHeights();
mainTable(byId("atoms-table"), report.frames ? "columns.csv" : "heights.csv", (column) => /_esd$|^p_\d+$|^(height_expected|set_size)$/.test(column.name) || (column.numeric && column.values.length > 0 && !finite(column.values).length));
histogramPanel(byId("histogram-one"), "height");
residualsPanel();
scatterPanel(byId("scatter-one"), ["height"], ["start", "set_size"]);
scatterPanel(byId("scatter-two"), ["height"], ["presence", "height_expected"]);
runPanel("How the image was read", report.summary.image.notes);
await loadPictures();
for (const option of [...byId("under").options]) if (option.value && !field.pictures.has(option.value)) option.remove();
if (field.pictures.has("model")) micrographsPanel(redraw);
if (levels.length) besideFacts.push(probabilitiesOf);
columnsPanel("height");
document.documentElement.dataset.ready = "true";
