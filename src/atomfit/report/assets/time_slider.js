// The panels of things followed in time; and all panels, drawn.

const timeLabel = course.unit ? `time (${course.unit})` : course.times.every((time, i) => time === i) ? "number, from 0" : "time";
const timeRange = timeCount > 1 ? rangeOf(course.times, 0.02) : [course.times[0] - 0.5, course.times[0] + 0.5];
const groupColours = report.line_colours;

function quantityNow() {
  return course.quantities.find(({ name }) => name === byId("quantity").value);
}

// Lines of points (time, value), broken where there is none, in a colour.
function colouredCurve(points, toX, toY, colour) {
  const part = ([x, y], i) => `${i && points[i - 1][1] !== null ? "L" : "M"}${rounded(toX(x))} ${rounded(toY(y))}`;
  const path = points.map((point, i) => (point[1] === null ? "" : part(point, i))).join("");
  return mark("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.6 });
}

function errorBars(points, toX, toY, colour) {
  const path = points.filter(([, y, esd]) => y !== null && esd > 0).map(([x, y, esd]) => `M${rounded(toX(x))} ${rounded(toY(y - esd))}V${rounded(toY(y + esd))}`);
  return mark("path", { d: path.join(""), fill: "none", stroke: colour, "stroke-width": 1.2, "stroke-opacity": 0.6 });
}

function timeLine(toX, [low, high], toY) {
  const x = toX(course.times[clock.frame]);
  return mark("line", { class: "mark now", x1: x, x2: x, y1: toY(low), y2: toY(high) });
}

// A chart against time: the time that is shown follows the slider, and a click goes to another.
function timeChart(host, { label, values, draw, name }) {
  if (!values.length) return nothing(host, "There are no numbers to show.");
  const range = rangeOf(values, 0.06);
  const { toX, drawing } = chart(host, {
    x: { label: timeLabel, range: timeRange },
    y: { label, range },
    draw: (toX, toY) => draw(toX, toY) + timeLine(toX, range, toY),
    name,
  });
  drawing.classList.add("clickable");
  drawing.addEventListener("click", (event) => {
    const at = (event.offsetX * drawing.viewBox.baseVal.width) / drawing.getBoundingClientRect().width;
    const off = course.times.map((time) => Math.abs(toX(time) - at));
    play(false);
    showTime(off.indexOf(Math.min(...off)));
  });
  clock.listeners = clock.listeners.filter(({ host: other }) => other !== host);
  const follow = () => {
    for (const end of ["x1", "x2"]) drawing.querySelector(".now").setAttribute(end, toX(course.times[clock.frame]));
  };
  clock.listeners.push(Object.assign(follow, { host }));
}

function pointsOf(one, index) {
  return course.times.map((time, k) => {
    const at = k * atomCount + index;
    return Number.isNaN(one.all[at]) ? [time, null, null] : [time, one.all[at], one.errors ? one.errors[at] : null];
  });
}

function trendOf(one, index) {
  const names = report.lines[one.name];
  if (!names) return [];
  // Of the table: a number at the time that is shown may have the same name.
  const [value, slope] = names.map((name) => report.columns.find((one) => one.name === name)?.values[index] ?? null);
  if (value === null || slope === null) return [];
  const ends = [course.times[0], course.times.at(-1)];
  return ends.map((time) => [time, value + slope * (time - course.middle)]);
}

function onePanel() {
  const [index, one] = [selection.index, quantityNow()];
  byId("one-name").textContent = index === null ? "The one that is selected" : nameOf(index);
  byId("one-note").textContent = index === null || !one ? "" : `${explained(one)}${one.errors ? " Bars are standard uncertainties." : ""}`;
  if (index === null || !one) return nothing(byId("one"), "Click one in the picture or the table to see it here.");
  const points = pointsOf(one, index);
  const known = points.filter(([, y]) => y !== null);
  const line = trendOf(one, index);
  const ends = known.flatMap(([, y, esd]) => (esd > 0 ? [y - esd, y + esd] : [y]));
  timeChart(byId("one"), {
    label: labelOf(one),
    values: known.length ? [...ends, ...line.map(([, y]) => y)] : [],
    draw: (toX, toY) =>
      errorBars(points, toX, toY, groupColours[0]) + colouredCurve(points, toX, toY, groupColours[0]) + dots(known, toX, toY) + (line.length ? curve(line, toX, toY, "guide") : ""),
    name: `${one.label} of ${nameOf(index)} against time`,
  });
}

// Means over a group at each time, with their standard errors.
function meansOf(one, members) {
  return course.times.map((time, k) => {
    let [count, sum, square] = [0, 0, 0];
    for (const index of members) {
      const value = one.all[k * atomCount + index];
      if (Number.isNaN(value)) continue;
      count += 1;
      sum += value;
      square += value * value;
    }
    const middle = sum / count;
    const spread = count > 1 ? Math.sqrt(Math.max(square / count - middle * middle, 0) / (count - 1)) : null;
    return count ? [time, middle, spread] : [time, null, null];
  });
}

const everyone = Array.from({ length: atomCount }, (_, i) => i);
const groups = Object.entries(course.groups).filter(([, members]) => members.length);
const namedGroups = groups.length ? groups : [[`all ${things}`, everyone]];

function groupsPanel() {
  const one = quantityNow();
  if (!one) return nothing(byId("groups"), "There are no numbers to show.");
  const lines = namedGroups.map(([name, members]) => [name, meansOf(one, members)]);
  const values = lines.flatMap(([, points]) => points.filter(([, y]) => y !== null).flatMap(([, y, esd]) => [y - (esd ?? 0), y + (esd ?? 0)]));
  const colourOf = (i) => groupColours[i % groupColours.length];
  timeChart(byId("groups"), {
    label: labelOf(one),
    values,
    draw: (toX, toY) => lines.map(([, points], i) => errorBars(points, toX, toY, colourOf(i)) + colouredCurve(points, toX, toY, colourOf(i))).join(""),
    name: `Means of ${one.label} against time`,
  });
  if (!values.length) return;
  const key = element("p", { className: "note key" });
  const entry = ([name], i) => `<span><svg viewBox="0 0 26 10">${mark("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: colourOf(i), "stroke-width": 2 })}</svg>${escaped(name)}</span>`;
  key.innerHTML = lines.map(entry).join(" ");
  byId("groups").append(key);
}

function therePanel() {
  const counts = course.times.map((time, k) => [time, everyone.reduce((sum, i) => sum + (placeAt(k, i) ? 1 : 0), 0)]);
  timeChart(byId("there"), {
    label: things,
    values: counts.map(([, count]) => count),
    draw: (toX, toY) => colouredCurve(counts, toX, toY, groupColours[0]) + dots(counts, toX, toY),
    name: `Number of ${things} against time`,
  });
}

function tallyPanel() {
  const kinds = [...new Set(report.events.find(({ name }) => name === "event")?.values ?? [])];
  if (!kinds.length) return nothing(byId("tally"), "Nothing happened.");
  const [of, probability] = ["event", "probability"].map((wanted) => report.events.find(({ name }) => name === wanted).values);
  // One whose probability is not known is taken as it is.
  const likely = probability.map((value) => value === null || value >= 0.5);
  const lines = kinds.map((kind) => {
    const counts = new Array(timeCount).fill(0);
    report.event_places.forEach(([, frame], row) => (counts[frame] += of[row] === kind && likely[row] ? 1 : 0));
    return counts.map((count, k) => [course.times[k], count]);
  });
  const colourOf = (i) => groupColours[i % groupColours.length];
  const stems = (points, toX, toY, i) =>
    mark("path", { d: points.filter(([, y]) => y).map(([x, y]) => `M${rounded(toX(x) + 3 * (i - (kinds.length - 1) / 2))} ${rounded(toY(0))}V${rounded(toY(y))}`).join(""), stroke: colourOf(i), "stroke-width": 2.5, fill: "none" });
  timeChart(byId("tally"), {
    label: "events",
    values: [0, ...lines.flat().map(([, y]) => y)],
    draw: (toX, toY) => lines.map((points, i) => stems(points, toX, toY, i)).join(""),
    name: "Number of events against time",
  });
  const key = element("p", { className: "note key" });
  key.innerHTML = kinds.map((kind, i) => `<span><svg viewBox="0 0 26 10">${mark("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: colourOf(i), "stroke-width": 2 })}</svg>${escaped(kind)}</span>`).join(" ");
  byId("tally").append(key);
}

function eventsPanel() {
  if (!report.event_places.length) return nothing(byId("events-table"), "Nothing happened.");
  const table = new Table(byId("events-table"), report.events, {
    file: "events.csv",
    onRow: (row) => {
      const [index, frame] = report.event_places[row];
      play(false);
      showTime(frame);
      if (selection.index !== index) selection.set(index, "events");
      table.choose(row, false);
    },
  });
}

function totalsPanel() {
  const parts = report.tables.flatMap(({ title, head, rows, note }) => [
    element("h3", { textContent: title }),
    rows.length ? factTable(head.length ? head : null, rows) : element("p", { className: "note", textContent: "There is nothing to tell." }),
    ...(note ? [element("p", { className: "note", textContent: note })] : []),
  ]);
  if (!parts.length) return nothing(byId("totals-tables"), "There is nothing to tell.");
  byId("totals-tables").append(...parts);
}

function sliderPanel() {
  byId("explained").textContent = report.explained;
  for (const one of document.querySelectorAll(".solid")) one.hidden = course.flat;
  // As in an image, whose rows run downwards.
  if (course.flat) scene.rotation = [[1, 0, 0], [0, -1, 0], [0, 0, -1]];
  particlePanel(...report.first);
  // What is flat fills its picture; a ball leaves room to turn.
  const farthest = Math.max(0, ...scene.atoms.flatMap(({ place }) => place.map(Math.abs))) + 2 * report.radius;
  if (course.flat) scene.zoom = scene.extent / farthest;
  addColumns(byId("colour"), course.states.length > 1 ? ["state"] : []);
  addColumns(byId("quantity"), course.quantities.map(({ name }) => name));
  const first = report.first.find((name) => course.quantities.some((one) => one.name === name));
  if (first) byId("quantity").value = first;
  byId("quantity").onchange = () => {
    onePanel();
    groupsPanel();
  };
  timeControls();
  selection.listeners.push(onePanel);
  onePanel();
  groupsPanel();
  therePanel();
  tallyPanel();
  showTime(0);
}

eventsPanel();
totalsPanel();
mainTable(byId("atoms-table"), report.file, ({ name }) => /_esd$/.test(name));
madePanel("Inputs");
sliderPanel();
document.documentElement.dataset.ready = "true";
