// The panels of a series of models; and all panels, drawn.

function pairsPanel() {
  const part = (value) => `${value.toFixed(1)} %`;
  const rows = report.pairs.map((pair) => [
    pair.a.name,
    pair.b.name,
    pair.counts.common,
    part(pair.percentages.common_of_a),
    pair.counts.displaced,
    pair.counts.lost,
    pair.counts.gained,
    pair.significance.tested ? pair.significance.moved : "not tested",
    pair.common_pairs.median,
    pair.significance.error_bars_too_small_by,
    pair.registration.angle,
  ]);
  const head = ["A", "B", "common", "of A", "displaced", "lost", "gained", "moved", "median (Å)", "error bars too small by", "turned by (°)", "page"];
  const table = factTable(head, rows);
  table.querySelectorAll("tbody tr").forEach((row, i) => {
    const link = element("a", { href: encodeURIComponent(report.pairs[i].page), textContent: "open" });
    row.append(element("td", {}, link));
  });
  byId("pairs-table").append(table);
}

// A number of each two models, against the place of the later one: compared with the first, and with the one before.
function courseChart(host, label, valueOf) {
  const known = report.pairs.filter((pair) => valueOf(pair) !== null);
  const points = (wanted) => known.filter(({ places: [a, b] }) => wanted(a, b)).map((pair) => [pair.places[1] + 1, valueOf(pair)]);
  const lines = [
    ["with the first", "", points((a) => a === 0)],
    ["with the one before", " other", points((a, b) => a === b - 1)],
  ];
  const all = lines.flatMap(([, , line]) => line);
  if (!all.length) return nothing(host, "There are no numbers to show.");
  chart(host, {
    x: { label: "model, in the order given", range: [1.5, report.names.length + 0.5], whole: true },
    y: { label, range: rangeOf(all.map(([, y]) => y), 0.1) },
    draw: (toX, toY) => lines.map(([, kind, line]) => curve(line, toX, toY, `curve${kind}`) + dots(line, toX, toY, `dots${kind}`)).join(""),
  });
  host.append(lineKey(lines.map(([name, kind]) => [name, `curve${kind}`])));
}

pairsPanel();
courseChart(byId("common"), "common atoms (%)", (pair) => pair.percentages.common_of_a);
courseChart(byId("apart"), "median distance (Å)", (pair) => pair.common_pairs.median);
new Table(byId("tracks-table"), report.columns, { file: "series.csv" });
madePanel();
document.documentElement.dataset.ready = "true";
