// What the page was given, how it is written, and which atom is selected.

const report = JSON.parse(document.getElementById("data").textContent);
const columns = new Map(report.columns.map((column) => [column.name, column]));
const atomCount = report.columns[0].values.length;

// What its rows are.
const things = report.things ?? "atoms";

// An identifier orders nothing; a column without numbers shows nothing.
const numericNames = report.columns
  .filter((column) => column.numeric && !/^id(_[ab])?$/.test(column.name) && column.values.some((value) => value !== null))
  .map((column) => column.name);

const selection = {
  index: null,
  listeners: [],
  set(index, source) {
    this.index = this.index === index ? null : index;
    for (const listener of this.listeners) listener(this.index, source);
  },
};

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function labelOf(column) {
  return column.unit ? `${column.label} (${column.unit})` : column.label;
}

// A number with as many digits as are worth reading; nothing for one that is not known.
function brief(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value !== "number") return String(value);
  const whole = Number.isInteger(value) && Math.abs(value) < 1e9;
  return (whole ? value.toLocaleString("en") : String(Number(value.toPrecision(digits)))).replaceAll("-", "−");
}

// The same with its last zeros, for numbers that stand below each other.
function even(value) {
  const ordinary = typeof value === "number" && !Number.isInteger(value) && Math.abs(value) > 1e-4 && Math.abs(value) < 1e4;
  return ordinary ? value.toPrecision(4).replace("-", "−") : brief(value);
}

// As in the file.
function cellText(column, value) {
  if (value === null) return "";
  return column.decimals === null || !column.numeric ? String(value) : value.toFixed(column.decimals);
}

function finite(values) {
  return values.filter((value) => value !== null);
}

// The smallest and the largest.
function endsOf(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// The sample's standard deviation; not known of a single value.
function deviation(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

function quantile(values, part) {
  const sorted = Float64Array.from(values).sort();
  const place = part * (sorted.length - 1);
  const below = Math.floor(place);
  return sorted[below] + (place - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
}

function correlation(xs, ys) {
  const [mx, my] = [mean(xs), mean(ys)];
  let [xx, yy, xy] = [0, 0, 0];
  xs.forEach((x, i) => {
    xx += (x - mx) ** 2;
    yy += (ys[i] - my) ** 2;
    xy += (x - mx) * (ys[i] - my);
  });
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : null;
}

// Whether a column tells atoms apart.
function varies(name) {
  const [low, high] = endsOf(finite(columns.get(name)?.values ?? []));
  return high > low;
}

// Adds columns to a select, in words and under the heads of their groups; uncertainties come last.
function addColumns(select, names) {
  const groups = new Map();
  const last = (name) => name.endsWith("_esd");
  for (const name of [...names.filter((one) => !last(one)), ...names.filter(last)]) {
    const { group } = columns.get(name);
    if (!groups.has(group)) groups.set(group, element("optgroup", { label: group }));
    groups.get(group).append(element("option", { value: name, textContent: labelOf(columns.get(name)), title: name }));
  }
  select.append(...groups.values());
}

// Fills a select with columns; of those that are wanted the first is chosen that tells atoms apart, or that is there.
function offerColumns(select, ...wanted) {
  addColumns(select, numericNames);
  const there = wanted.filter((name) => numericNames.includes(name));
  const first = there.find(varies) ?? there[0];
  if (first) select.value = first;
}

// A number to the second digit of its uncertainty.
function asFarAsKnown(value, esd) {
  if (typeof value !== "number" || !(esd > 0)) return value;
  return value.toFixed(Math.min(Math.max(1 - Math.floor(Math.log10(esd)), 0), 8)).replace("-", "−");
}

function factTable(head, rows) {
  const cell = (tag, value, colSpan = 1) =>
    element(tag, { textContent: even(value), colSpan, className: head && /^[−\d][\d.,]*$/.test(even(value)) ? "number" : "" });
  const table = element("table", { className: "facts" });
  if (head) {
    const names = head.map((name, i) => element("th", { textContent: name, className: typeof rows[0]?.[i] === "number" ? "number" : "" }));
    table.append(element("thead", {}, element("tr", {}, ...names)));
  }
  // Words have the room of empty cells that follow them.
  const line = (row) => {
    const known = row.findLastIndex((value) => even(value) !== "");
    const whole = known > 0 && typeof row[known] === "string" && !/^[−\d]/.test(row[known]);
    const cells = whole ? row.slice(0, known + 1) : row;
    return element("tr", {}, ...cells.map((value, i) => cell(i ? "td" : "th", value, whole && i === known ? row.length - known : 1)));
  };
  table.append(element("tbody", {}, ...rows.map(line)));
  return element("div", { className: "across" }, table);
}
