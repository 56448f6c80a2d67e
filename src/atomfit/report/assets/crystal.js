// Facets and defects of an image's lattices, in tables; and where defects are.

function crystalPanel() {
  const { facets, defects, marks } = report.crystal;
  for (const [told, words, table] of [[facets, "facet-words", "facets"], [defects, "defect-words", "defects-table"]]) {
    byId(words).textContent = told.words;
    if (told.rows.length) byId(table).append(factTable(told.head, told.rows));
  }
  byId("defects").checked = marks.length > 0;
  byId("defects").disabled = !marks.length;
}

// A square where a column lacks, a cross upright for the core of a dislocation.
function markDefects(paint, frame) {
  const radius = Math.max(columnRadius(frame), 5);
  for (const { kind, x, y } of report.crystal.marks) {
    const [u, v] = frame.place(x, y);
    for (const [colour, width] of [["#fff", 4], [markColours.chosen, 2]]) {
      paint.strokeStyle = colour;
      paint.lineWidth = width;
      if (kind === "vacancy") {
        paint.strokeRect(u - radius, v - radius, 2 * radius, 2 * radius);
        continue;
      }
      paint.beginPath();
      paint.moveTo(u - radius, v);
      paint.lineTo(u + radius, v);
      paint.moveTo(u, v - radius);
      paint.lineTo(u, v + radius);
      paint.stroke();
    }
  }
}
