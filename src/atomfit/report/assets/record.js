// How a result was made, as tables.

// Values of any depth as rows of two: a name and what it is.
function flat(record, prefix = "") {
  return Object.entries(record).flatMap(([name, value]) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return flat(value, `${prefix}${name}: `);
    return [[prefix + name, Array.isArray(value) ? value.join(" ") : value === null ? "not set" : String(value)]];
  });
}

// Tables with titles: some below each other, then others in columns.
function recordPanel(wide, narrow) {
  const titled = ([title, rows]) => element("div", {}, element("h3", { textContent: title }), factTable(null, rows));
  byId("record-tables").append(...wide.map(titled), element("div", { className: "columns" }, ...narrow.map(titled)));
}
