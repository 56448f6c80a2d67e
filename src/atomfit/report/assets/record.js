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

// How a particle was found; and how its input was read, in sentences.
function runPanel(title, notes) {
  const { versions, options, input, command, device, machine, seconds } = report.run;
  recordPanel(
    [
      ["Input", [...flat(input), ["command", command.join(" ")]]],
      [title, notes.map((note) => [note])],
    ],
    [
      ["Options", flat(options)],
      ["Versions", flat(versions)],
      ["Time", Object.entries(seconds).map(([stage, spent]) => [stage, `${spent.toFixed(2)} s`])],
      ["Computer", flat({ device, machine })],
    ],
  );
}
