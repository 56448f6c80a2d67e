// Charts of columns: one against another, distributions, and means by coordination number.

function nothing(host, why) {
  host.replaceChildren(element("p", { className: "note", textContent: why }));
}

function pairsOf(xs, ys) {
  const known = [];
  xs.forEach((x, i) => {
    if (x !== null && ys[i] !== null) known.push([x, ys[i], i]);
  });
  return known;
}

// Dots of one column against another; a click selects the nearest atom.
function drawScatter(host, x, y, { diagonal = false } = {}) {
  const all = x && y ? pairsOf(x.values, y.values) : [];
  if (!all.length) return nothing(host, "There are no numbers to show.");
  const ranges = diagonal ? commonRanges(all) : [0, 1].map((k) => rangeOf(all.map((point) => point[k])));
  const within = (point) => ranges.every(([low, high], k) => point[k] >= low && point[k] <= high);
  const points = all.filter(within);
  const line = diagonal ? ranges[0].map((end) => [end, end]) : depthLine(x, y, ranges[0]);
  const means = isDepth(x) ? runningMeans(points) : [];
  const { toX, toY, drawing } = chart(host, {
    x: { label: labelOf(x), range: ranges[0] },
    y: { label: labelOf(y), range: ranges[1] },
    draw: (toX, toY) =>
      dots(points, toX, toY) + curve(means, toX, toY, "means") + curve(line, toX, toY, "guide") + mark("circle", { class: "chosen", r: 0, cx: 0, cy: 0 }),
  });
  const ring = drawing.querySelector(".chosen");
  const show = (index) => {
    const point = points.find((one) => one[2] === index);
    const [cx, cy, r] = point ? [toX(point[0]), toY(point[1]), 6] : [0, 0, 0];
    for (const [name, value] of Object.entries({ cx, cy, r })) ring.setAttribute(name, value);
  };
  onNearest(drawing, points, toX, toY, (index) => selection.set(index, "chart"));
  show(selection.index);
  return { show, points, outside: all.length - points.length };
}

// One range for both, without the few that would make the rest a spot.
function commonRanges(points) {
  const values = points.flatMap(([x, y]) => [x, y]);
  const range = rangeOf([quantile(values, 0.005), quantile(values, 0.995)], 0.25);
  return [range, range];
}

function isDepth({ name }) {
  return /^(radial|hull)_depth/.test(name);
}

// Means of every five points that follow each other, as the paper has them.
function runningMeans(points, count = 5) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const windows = sorted.slice(count - 1).map((_, i) => sorted.slice(i, i + count));
  return windows.map((window) => [0, 1].map((k) => mean(window.map((point) => point[k]))));
}

// Linear down to a depth, constant below it (the paper's Eq. 1), where a number is drawn against depth.
function depthFit(x, y) {
  const kind = { radial_depth: "radial", hull_depth: "hull" }[x.name];
  return (kind && report.depth_fits?.[kind]?.[y.name]) || null;
}

function depthLine(x, y, [low, high]) {
  const fitted = depthFit(x, y);
  if (!fitted) return [];
  const { delta, slope, constant } = fitted;
  return [[low, slope * (low - delta) + constant], [delta, constant], [high, constant]];
}

function depthWords(x, y) {
  const fitted = depthFit(x, y);
  if (!fitted) return "";
  const { delta, delta_esd, smooth_better_by } = fitted;
  const other = smooth_better_by > 0 ? " A curve without a kink describes the atoms better." : "";
  return ` The line ends at a depth of ${asFarAsKnown(delta, delta_esd)} Å, with a standard uncertainty of ${asFarAsKnown(delta_esd, delta_esd)} Å.${other}`;
}

function explained({ name, label, meaning }) {
  return meaning ? `${label} (${name}): ${meaning}.` : "";
}

function scatterPanel(host, wantedX, wantedY) {
  const [x, y] = [element("select"), element("select")];
  offerColumns(x, ...wantedX);
  offerColumns(y, ...wantedY);
  const [area, note] = [element("div"), element("p", { className: "note" })];
  const about = (points) => {
    const r = correlation(points.map((point) => point[0]), points.map((point) => point[1]));
    const meant = [columns.get(x.value), columns.get(y.value)].map(explained).join(" ");
    return `${meant} ${brief(points.length)} ${things}; correlation ${brief(r, 2) || "not defined"}.${depthWords(columns.get(x.value), columns.get(y.value))}`;
  };
  let drawn;
  const draw = () => {
    drawn = drawScatter(area, columns.get(x.value), columns.get(y.value));
    note.textContent = drawn ? about(drawn.points) : "";
  };
  const controls = element("div", { className: "controls" }, element("label", {}, "Across ", x), element("label", {}, "Upward ", y));
  host.replaceChildren(controls, area, note);
  x.onchange = y.onchange = draw;
  selection.listeners.push((index) => drawn?.show(index));
  draw();
}

// As wide as twice the quartiles' distance over the cube root of the number (Freedman and Diaconis), or finer:
// two humps make the quartiles' distance large.
function binsOf(values, widest = Infinity) {
  const [low, high] = endsOf(values);
  const whole = values.every(Number.isInteger) && high - low < 60;
  const wanted = (2 * (quantile(values, 0.75) - quantile(values, 0.25))) / Math.cbrt(values.length);
  const least = Math.min(Math.ceil(Math.sqrt(values.length)), 24);
  const count = whole ? high - low + 1 : Math.min(Math.max(Math.ceil((high - low) / Math.min(wanted, widest)) || 1, least), 80);
  const start = whole ? low - 0.5 : low;
  const step = whole ? 1 : (high - low) / count || 1;
  const counts = new Array(count).fill(0);
  for (const value of values) counts[Math.min(Math.floor((value - start) / step), count - 1)] += 1;
  return { start, step, counts };
}

function bars({ start, step, counts }, toX, toY) {
  const bar = (count, i) => {
    const [x, y] = [toX(start + i * step), toY(count)];
    const width = toX(start + (i + 1) * step) - x;
    return mark("rect", { class: width < 4 ? "bars thin" : "bars", x, y, width, height: toY(0) - y });
  };
  return counts.map(bar).join("");
}

// A histogram that was counted before.
function drawCounts(host, edges, counts, x, y, name) {
  const bins = { start: edges[0], step: edges[1] - edges[0], counts };
  return chart(host, {
    x: { label: x, range: [edges[0], edges.at(-1)] },
    y: { label: y, range: [0, Math.max(...counts) * 1.06 || 1] },
    draw: (toX, toY) => bars(bins, toX, toY),
    name,
  });
}

// Curves that belong into a column's histogram, by its name: the widest bins that show them, and points for bins of
// some width, of each curve and of their sum.
const expected = new Map();

function histogramPanel(host, ...wanted) {
  const select = element("select");
  offerColumns(select, ...wanted);
  const [area, note] = [element("div"), element("p", { className: "note" })];
  const draw = () => {
    const column = columns.get(select.value);
    const values = column ? finite(column.values) : [];
    if (!values.length) return nothing(area, "There are no numbers to show.");
    const curves = expected.get(column.name);
    const bins = binsOf(values, curves?.widest);
    const { each, sum } = curves?.points(bins.step) ?? { each: [], sum: [] };
    chart(area, {
      x: { label: labelOf(column), range: [bins.start, bins.start + bins.step * bins.counts.length] },
      y: { label: things, range: [0, Math.max(...bins.counts, ...sum.map(([, y]) => y)) * 1.06] },
      draw: (toX, toY) => bars(bins, toX, toY) + each.map((points) => curve(points, toX, toY, "means")).join("") + curve(sum, toX, toY, "wanted"),
      name: `Distribution of ${column.label}`,
    });
    const unit = column.unit ? ` ${column.unit}` : "";
    note.textContent =
      `${explained(column)} ${brief(values.length)} ${things}: mean ${brief(mean(values))}${unit}, median ${brief(quantile(values, 0.5))}${unit}` +
      (values.length > 1 ? `, standard deviation ${brief(deviation(values), 3)}${unit}.` : ".");
  };
  host.replaceChildren(element("div", { className: "controls" }, element("label", {}, "Number ", select)), area, note);
  select.onchange = draw;
  draw();
}

function groupsBy(keys, values) {
  const groups = new Map();
  for (const [key, value] of pairsOf(keys, values)) groups.set(key, [...(groups.get(key) ?? []), value]);
  return [...groups].sort(([a], [b]) => a - b);
}

function coordinationPanel(host, key, ...wanted) {
  const numbers = columns.get(key);
  if (!numbers || !finite(numbers.values).length) return nothing(host, "Coordination numbers are not known.");
  const select = element("select");
  offerColumns(select, ...wanted);
  const [area, list] = [element("div"), element("div")];
  const draw = () => {
    const column = columns.get(select.value);
    const rows = groupsBy(numbers.values, column.values).map(([cn, values]) => {
      const spread = deviation(values);
      return { cn, n: values.length, middle: mean(values), spread, error: spread === null ? null : spread / Math.sqrt(values.length) };
    });
    const ends = rows.flatMap(({ middle, error }) => [middle - (error ?? 0), middle + (error ?? 0)]);
    chart(area, {
      x: { label: labelOf(numbers), range: rangeOf(rows.map((row) => row.cn), 0.06) },
      y: { label: `mean ${labelOf(column)}`, range: rangeOf(ends, 0.08) },
      draw: (toX, toY) => rows.map((row) => meanWithError(row, toX, toY)).join(""),
    });
    const unit = column.unit ? ` (${column.unit})` : "";
    list.replaceChildren(
      factTable([numbers.label, "N", `mean${unit}`, `S${unit}`, `S/√N${unit}`], rows.map((row) => [row.cn, row.n, row.middle, row.spread, row.error])),
    );
  };
  const controls = element("div", { className: "controls" }, element("label", {}, "Number ", select));
  host.replaceChildren(controls, element("div", { className: "pair" }, area, list));
  select.onchange = draw;
  draw();
}

function meanWithError({ cn, middle, error }, toX, toY) {
  const x = toX(cn);
  const bar = mark("line", { class: "error", x1: x, x2: x, y1: toY(middle - (error ?? 0)), y2: toY(middle + (error ?? 0)) });
  return bar + mark("circle", { class: "mean", cx: x, cy: toY(middle), r: 3.5 });
}
