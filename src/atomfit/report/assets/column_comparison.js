// The panels of two images' columns compared; and all panels, drawn.

const found = report.found;

function placesOf(index) {
  return ["a", "b"].map((side) => ["x", "y"].map((axis) => columns.get(`${axis}_${side}`).values[index])).map((at) => (at[0] === null ? null : at));
}

function nameOf(index) {
  const parts = ["a", "b"].map((side) => [columns.get(`id_${side}`).values[index], report.names[side]]);
  const known = parts.filter(([id]) => id !== null).map(([id, name]) => `${id} of ${name}`);
  return `Column ${known.join(", ")} (${columns.get("status").values[index]})`;
}

// What both images cover, and a scale for it; rows run downwards, as in the images.
function planeOf(width) {
  const all = Array.from({ length: atomCount }, (_, i) => placesOf(i)).flat().filter(Boolean);
  const [xs, ys] = [0, 1].map((k) => endsOf(all.map((at) => at[k])));
  const space = 2.5 * report.radius;
  const scale = width / (xs[1] - xs[0] + 2 * space);
  const place = ([x, y]) => [(x - xs[0] + space) * scale, (y - ys[0] + space) * scale];
  return { scale, place, height: (ys[1] - ys[0] + 2 * space) * scale };
}

function arrowMark(from, to) {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  if (length < 1) return "";
  const along = [(to[0] - from[0]) / length, (to[1] - from[1]) / length];
  const head = Math.min(6, 0.5 * length);
  const back = (side) => [0, 1].map((k) => to[k] - head * along[k] + side * 0.5 * head * (k ? along[0] : -along[1]));
  const path = `M${from.map(rounded)}L${to.map(rounded)}M${back(1).map(rounded)}L${to.map(rounded)}L${back(-1).map(rounded)}`;
  return mark("path", { d: path, fill: "none", stroke: theme.ink, "stroke-width": 1.4, "stroke-linejoin": "round" });
}

function columnMark(index, colour, plane, show) {
  const [a, b] = placesOf(index);
  if ((show === "a" && !a) || (show === "b" && !b)) return "";
  const status = columns.get("status").values[index];
  const [cx, cy] = plane.place(show === "b" ? b : a ?? b);
  const r = Math.max(report.radius * plane.scale, 1.5);
  if (!show && status === "lost") return mark("circle", { cx, cy, r: 0.85 * r, fill: "none", stroke: colour, "stroke-width": Math.max(0.3 * r, 1.2) });
  const dot = mark("circle", { cx, cy, r: !show && status === "gained" ? 0.5 * r : r, fill: colour });
  return !show && status === "gained" ? dot + mark("circle", { cx, cy, r, fill: "none", stroke: colour, "stroke-width": 0.2 * r }) : dot;
}

function paintRows(column) {
  if (tellsKinds(column)) return paintKinds(column);
  const [low, high] = colourRange(column.values);
  if (low * high >= 0) return paintNumbers(column);
  const most = Math.max(-low, high);
  return paintNumbers(column, blueToRed, [-most, most]);
}

function drawBoth() {
  const width = 900;
  const plane = planeOf(width);
  const show = byId("show").value;
  const painting = paintRows(columns.get(byId("colour").value));
  const many = Number(byId("arrows").value);
  const moved = columns.get("moved").values;
  const marks = [];
  const arrows = [];
  for (let i = 0; i < atomCount; i += 1) {
    marks.push(columnMark(i, cssOf(painting.colours[i]), plane, show));
    const [a, b] = placesOf(i);
    if (show || !a || !b || !many || (many === 1 && moved[i] !== "1")) continue;
    const times = moved[i] === "1" ? 1 : many;
    arrows.push(arrowMark(plane.place(a), plane.place(a.map((value, k) => value + times * (b[k] - value)))));
  }
  byId("both").innerHTML = svg(width, plane.height, marks.join("") + arrows.join("") + mark("circle", { class: "chosen", r: 0, cx: 0, cy: 0 }));
  const drawing = byId("both").firstElementChild;
  drawing.setAttribute("aria-label", "Columns of both images");
  const points = Array.from({ length: atomCount }, (_, i) => [...plane.place(placesOf(i)[0] ?? placesOf(i)[1]), i]);
  onNearest(drawing, points, (x) => x, (y) => y, (index) => selection.set(index, "picture"));
  byId("colour-bar").innerHTML = painting.bar;
  showChosen(plane);
}

function showChosen(plane = planeOf(900)) {
  const ringed = byId("both").querySelector(".chosen");
  const at = selection.index === null ? null : placesOf(selection.index);
  const [cx, cy] = at ? plane.place(at[0] ?? at[1]) : [0, 0];
  for (const [name, value] of Object.entries({ cx, cy, r: at ? report.radius * plane.scale + 5 : 0 })) ringed.setAttribute(name, value);
  byId("shown").textContent = selection.index === null ? "" : `${nameOf(selection.index)} is selected.`;
}

function bothPanel() {
  const select = byId("colour");
  addColumns(select, ["status", ...numericNames]);
  select.value = "status";
  select.onchange = byId("show").onchange = byId("arrows").onchange = drawBoth;
  selection.listeners.push(() => showChosen());
  theme.drawings.push(drawBoth);
  drawBoth();
}

const meant = {
  common: "as it was",
  moved: "its place is another",
  changed: report.counted ? "its number of atoms is another" : "its cross-section is another",
  lost: "in A alone",
  gained: "in B alone",
  unseen: "the other image may have missed it",
  outside: "beyond the other image",
};

function plusMinus({ value, esd }) {
  if (typeof value !== "number") return "not known";
  return esd > 0 ? `${asFarAsKnown(value, esd)} ± ${asFarAsKnown(esd, esd)}` : even(value);
}

// Expected numbers of columns and atoms: more digits than two say nothing.
function expectedNumber({ value, esd }) {
  return typeof value !== "number" ? "not known" : esd >= 0.005 ? plusMinus({ value, esd }) : String(Number(value.toFixed(2)));
}

function changesPanel() {
  const rows = Object.entries(meant).map(([status, words]) => [status, found.counts[status], words]);
  byId("statuses").append(
    factTable(["status", "columns", "which means"], rows),
    element("p", {
      className: "note",
      textContent: `Columns are paired within ${brief(found.reach, 3)} Å. Rate of false changes: ${brief(100 * found.fdr)} %. ${brief(found.tested)} rows were tested.`,
    }),
  );
  const names = [["columns_lost", "columns lost"], ["columns_gained", "columns gained"], ["atoms_lost", "atoms lost"], ["atoms_gained", "atoms gained"]];
  byId("totals").append(
    factTable(["expected", ""], names.map(([name, words]) => [words, expectedNumber(found.totals[name])])),
    element("p", { className: "note", textContent: "Sums over all columns, each with the probability of its change; atoms are known if they were counted in both images." }),
  );
  if (!found.facets.length) return;
  const of = found.facets.map((one) => [`${one.facet}${one.indices ? ` (${one.indices.join(" ")})` : ""}`, ...names.map(([name]) => expectedNumber(one[name]))]);
  byId("facets").append(element("h3", { textContent: "By facet of A" }), factTable(["facet", ...names.map(([, words]) => words)], of));
}

function probabilityPanel(host, name) {
  const values = finite(columns.get(name).values);
  if (!values.length) return nothing(host, "There are no error bars to judge by.");
  const count = Math.min(Math.max(Math.round(values.length / 10), 5), 20);
  const tally = new Array(count).fill(0);
  for (const value of values) tally[Math.min(Math.floor(value * count), count - 1)] += 1;
  const level = values.length / count;
  chart(host, {
    x: { label: "p-value", range: [0, 1] },
    y: { label: "pairs", range: [0, Math.max(...tally) * 1.06] },
    draw: (toX, toY) => bars({ start: 0, step: 1 / count, counts: tally }, toX, toY) + curve([[0, level], [1, level]], toX, toY, "wanted"),
    name: "Distribution of p-values",
  });
}

async function imagesPanel() {
  const { difference: told } = report;
  if (!told) return nothing(byId("image-pictures"), `The images are not known: ${found.image_difference?.not_known ?? "none was given"}.`);
  const [rows, across] = told.shape;
  const unknown = [176, 190, 210, 255];
  const titles = { a: report.names.a, b: `${report.names.b}, laid on it`, difference: "Difference (B less A)" };
  for (const [name, title] of Object.entries(titles)) {
    const palette = [...paletteOf(name === "difference" ? blueToRed : inkToPaper, 255), unknown];
    const shades = await shadesOfPicture(told[name]);
    const canvas = painted(across, rows, (u, v) => palette[shades[v * across + u]]);
    Object.assign(canvas, { ariaLabel: title, role: "img" }).style.width = "100%";
    byId("image-pictures").append(titledPicture(title, canvas));
  }
  const heads = Object.entries(titles).map(([name, title]) => {
    const [scale, unit] = name === "difference" ? [blueToRed, "standard deviations"] : [inkToPaper, "units of A"];
    const { low, high } = told[name];
    const bar = element("div");
    bar.innerHTML = colourBar(scale, [low, high], unit);
    return element("div", {}, element("h4", { textContent: title }), bar);
  });
  byId("image-bars").append(...heads);
  const { part_of_a: part, rms, noise, part_beyond_four_deviations: far } = found.image_difference;
  byId("image-note").textContent = `Both show ${brief(100 * part, 3)} % of A's pixels. Root mean square of the difference: ${brief(rms, 3)} (noise of the blurred one: ${brief(noise, 3)}). ${brief(100 * far, 2)} % of the pixels differ by more than four standard deviations; of noise that is normal 0.006 % would. What no image shows is blue-grey.`;
}

function crystalPanel() {
  const words = { e_xx: "strain along x", e_yy: "strain along y", e_xy: "shear", rotation: "rotation (°)", ordered: "probability of order", contrast: "contrast" };
  const known = Object.entries(words).filter(([name]) => found.crystal[name].pairs);
  if (!known.length) return nothing(byId("crystal-table"), "Not both tables have strain or order.");
  const rows = known.map(([name, said]) => {
    const { pairs, mean, mean_esd: error, rms, esd, significant } = found.crystal[name];
    return [said, pairs, plusMinus({ value: mean, esd: error }), brief(rms, 2), brief(esd, 2), significant];
  });
  byId("crystal-table").append(
    factTable(["B less A", "pairs", "mean", "root mean square", "error bar of one", "differ significantly"], rows),
    element("p", { className: "note", textContent: `Significant at the rate of false ones that was asked for, ${brief(100 * found.fdr)} %. Where nothing changed, root mean square and error bar are alike.` }),
  );
}

function registrationPanel() {
  const { how, rotation, magnification, distortion, centre_esd: shifts, ...known } = found.registration;
  const ratio = found.cross_sections;
  const both = (value, esd) => plusMinus({ value, esd });
  const rows = [
    ["frames", { found: "were found", given: "left as they are" }[how]],
    ["turned over", known.mirrored ? "yes" : "no"],
    ["rotation (°)", both(rotation, known.rotation_esd)],
    ["magnification", both(magnification, known.magnification_esd)],
    ["half the difference of strains along x and y", both(distortion[0], known.distortion_esd[0])],
    ["shear", both(distortion[1], known.distortion_esd[1])],
    ["standard uncertainty in the middle (Å)", shifts.map((value) => asFarAsKnown(value, value)).join(", ")],
    ["columns fitted", known.pairs_fitted],
    ["columns near", known.pairs_near],
    ["columns near in the next best way", known.pairs_near_next_best],
    ["other ways that are as good", known.equal_orientations],
    ["cross-sections of B in those of A", both(ratio.ratio, ratio.ratio_esd)],
    ["error bars of positions are too small by", both(found.displacements.error_bars_too_small_by, found.displacements.error_bars_too_small_by_esd)],
    ["error bars of cross-sections are too small by", both(ratio.error_bars_too_small_by, ratio.error_bars_too_small_by_esd)],
    ["faintest column that A shows", even(found.detection_limits.a.cross_section)],
    ["faintest column that B shows", even(found.detection_limits.b.cross_section)],
  ];
  byId("registration-table").append(factTable(null, rows));
}

changesPanel();
mainTable(byId("atoms-table"), "compare.csv", ({ name }) => /_esd$|^[xy]_|^d[xy]$|^element_|^p_|_expected$/.test(name));
probabilityPanel(byId("p-moved"), "p_moved");
probabilityPanel(byId("p-changed"), "p_changed");
scatterPanel(byId("scatter-one"), ["cross_section_a"], ["difference", "distance"]);
histogramPanel(byId("histogram-one"), "distance", "difference");
crystalPanel();
imagesPanel();
registrationPanel();
madePanel();
bothPanel();
document.documentElement.dataset.ready = "true";
