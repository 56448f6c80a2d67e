// Tables that sort, filter and export. Only the rows in sight are in the page, so that any number is quick.

const rowHeight = 24;
const headHeight = 40;
const rowsInSight = 16;

// A test of rows: conditions on columns, joined by "and", or a text that any cell contains. Throws what a reader is
// to be told, if there is a condition that cannot be read.
function filterOf(text, listed) {
  if (/[<>=]/.test(text)) {
    const tests = text.split(/\band\b|&&?/i).map((part) => conditionOf(part.trim(), listed));
    return (row) => tests.every((test) => test(row));
  }
  const wanted = text.trim().toLowerCase();
  return (row) => !wanted || listed.some((one) => cellText(one, one.values[row]).toLowerCase().includes(wanted));
}

const comparisons = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "=": (a, b) => a === b,
  "!=": (a, b) => a !== b,
};

function conditionOf(part, listed) {
  const example = `${(listed.find(({ name }) => name === "cn") ?? listed.find(({ numeric }) => numeric) ?? listed[0]).name} > 9`;
  const [, name, how, value] = part.match(/^(\w+)\s*(<=|>=|!=|==?|<|>)\s*([^<>=]+)$/) ?? [];
  if (!name) throw new Error(`“${part}” is no condition; write a column, a comparison and a value, as ${example}`);
  const column = listed.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (!column) throw new Error(`there is no column “${name}”; the heads of the table name them`);
  const compare = comparisons[how === "==" ? "=" : how];
  if (column.numeric) {
    const limit = Number(value.replace("−", "-"));
    if (value.trim() === "" || Number.isNaN(limit)) throw new Error(`“${value}” is no number, as ${column.name} has them`);
    return (row) => column.values[row] !== null && compare(column.values[row], limit);
  }
  if (!how.includes("=") || how.length === 2 && how !== "!=" && how !== "==") throw new Error(`${column.name} holds words; compare them with = or !=`);
  const wanted = value.toLowerCase();
  return (row) => compare(column.values[row].toLowerCase(), wanted);
}

// Unknown values come last, whichever way.
function compareBy({ values, numeric }, down) {
  const sign = down ? -1 : 1;
  return (a, b) => {
    const [p, q] = [values[a], values[b]];
    if (p === null || q === null) return (p === null) - (q === null);
    return sign * (numeric ? p - q : p.localeCompare(q)) || a - b;
  };
}

function csvOf(listed, rows) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => listed.map((column) => quoted(cellText(column, column.values[row]))).join(","));
  return [listed.map((column) => column.name).join(","), ...lines, ""].join("\n");
}

function download(name, text) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function widthOf(column) {
  const longest = column.values.reduce((most, value) => Math.max(most, cellText(column, value).length), 0);
  return Math.min(Math.max(longest, column.name.length + 2, column.unit.length) * 7.4 + 18, 460);
}

class Table {
  // Of some columns; `onRow` is called with a row that was clicked, `details` tells columns that are hidden at first.
  constructor(host, listed, { file, onRow = null, details = () => false }) {
    Object.assign(this, { listed, file, onRow, details, sorted: null, down: false, chosen: null });
    this.widths = new Map(listed.map((column) => [column, widthOf(column)]));
    this.everything = listed[0].values.map((_, row) => row);
    this.filter = element("input", { type: "search", placeholder: "filter", ariaLabel: "Filter rows" });
    this.count = element("span");
    this.complaint = element("span", { className: "complaint", role: "status" });
    this.all = element("input", { type: "checkbox" });
    this.table = element("table");
    this.scroll = element("div", { className: onRow ? "scroll" : "scroll still", tabIndex: 0 }, this.table);
    const save = element("button", { type: "button", textContent: "Save as CSV" });
    const more = element("label", {}, this.all, " standard uncertainties and other details");
    more.hidden = !listed.some(details);
    host.replaceChildren(element("div", { className: "controls" }, this.filter, more, save, this.count, this.complaint), this.scroll);
    this.filter.oninput = () => this.refresh();
    this.all.onchange = () => this.rebuild();
    this.scroll.onscroll = () => this.fill();
    save.onclick = () => download(file, csvOf(this.listed, this.rows));
    this.rebuild();
  }

  rebuild() {
    this.shown = this.listed.filter((column) => this.all.checked || !this.details(column));
    const head = element("tr", {}, ...this.shown.map((column) => this.headOf(column)));
    const total = this.shown.reduce((sum, column) => sum + this.widths.get(column), 0);
    const sizes = this.shown.map((column) => {
      const size = element("col");
      size.style.width = `${this.widths.get(column)}px`;
      return size;
    });
    this.table.style.width = `${total}px`;
    this.body = element("tbody");
    this.table.replaceChildren(element("colgroup", {}, ...sizes), element("thead", {}, head), this.body);
    this.refresh();
  }

  headOf(column) {
    const arrow = this.sorted === column ? (this.down ? " ↓" : " ↑") : "";
    const sort = element("button", { type: "button" }, column.name + arrow, element("small", { textContent: column.unit || "\u00a0" }));
    const cell = element("th", { scope: "col", title: explained(column), className: column.numeric ? "number" : "" }, sort);
    cell.ariaSort = arrow ? (this.down ? "descending" : "ascending") : "none";
    sort.onclick = () => {
      this.down = this.sorted === column && !this.down;
      this.sorted = column;
      this.rebuild();
      this.table.tHead.querySelectorAll("button")[this.shown.indexOf(column)].focus({ preventScroll: true });
    };
    return cell;
  }

  refresh() {
    let test = () => true;
    let complaint = "";
    try {
      test = filterOf(this.filter.value, this.listed);
    } catch (error) {
      complaint = `This filter cannot be read: ${error.message}. All rows are shown.`;
    }
    this.complaint.textContent = complaint;
    this.filter.ariaInvalid = complaint ? "true" : "false";
    this.rows = this.everything.filter(test);
    if (this.sorted) this.rows.sort(compareBy(this.sorted, this.down));
    this.count.textContent = `${brief(this.rows.length)} of ${brief(this.everything.length)} rows`;
    this.scroll.style.height = `${headHeight + rowHeight * Math.min(Math.max(this.rows.length, 1), rowsInSight) + 18}px`;
    this.fill();
  }

  fill() {
    const first = Math.max(Math.floor(this.scroll.scrollTop / rowHeight) - 8, 0);
    const last = Math.min(first + rowsInSight + 24, this.rows.length);
    const lines = this.rows.slice(first, last).map((row) => this.lineOf(row));
    this.body.replaceChildren(this.gap(first), ...lines, this.gap(this.rows.length - last));
  }

  // In place of rows that are out of sight.
  gap(rows) {
    const cell = element("td", { className: "gap", colSpan: this.shown.length });
    cell.style.height = `${rows * rowHeight}px`;
    return element("tr", { hidden: rows <= 0 }, cell);
  }

  lineOf(row) {
    const cells = this.shown.map((column) => {
      const text = cellText(column, column.values[row]);
      return element("td", { textContent: text, title: column.numeric ? "" : text, className: column.numeric ? "number" : "" });
    });
    const line = element("tr", { className: row === this.chosen ? "chosen" : "" }, ...cells);
    if (this.onRow) line.onclick = () => this.onRow(row);
    return line;
  }

  choose(row, bringIntoSight) {
    this.chosen = row;
    const at = this.rows.indexOf(row);
    if (bringIntoSight && at >= 0) this.scroll.scrollTop = Math.max((at - rowsInSight / 2) * rowHeight, 0);
    this.fill();
  }
}

// The main table: a row selects what belongs to it in all pictures. Tells what its columns mean.
function mainTable(host, file, details) {
  const table = new Table(host, report.columns, { file, onRow: (row) => selection.set(row, "table"), details });
  selection.listeners.push((index, source) => table.choose(index, source !== "table"));
  const rows = report.columns.map(({ name, label, unit, meaning }) => [name, label === name ? "" : label, unit, meaning]);
  byId("meanings").append(factTable(["column", "in menus", "unit", "meaning"], rows));
}
