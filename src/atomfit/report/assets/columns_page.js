// The page of the columns of an image.

// What columns of each count of atoms should give in the histogram of cross-sections.
function expectLaw() {
  const { law } = report;
  if (!law?.length) return;
  const [low, high] = endsOf(finite(columns.get("cross_section").values));
  const xs = Array.from({ length: 801 }, (_, i) => low + ((high - low) * i) / 800);
  const normal = (x, { mean: middle, deviation: wide }) => Math.exp(-0.5 * ((x - middle) / wide) ** 2) / (Math.sqrt(2 * Math.PI) * wide);
  const points = (some, step) => xs.map((x) => [x, step * some.reduce((sum, one) => sum + one.columns * normal(x, one), 0)]);
  expected.set("cross_section", {
    widest: 1.2 * quantile(law.map((one) => one.deviation), 0.5),
    points: (step) => ({ each: law.map((one) => points([one], step)), sum: points(law, step) }),
  });
  byId("law-words").textContent =
    "Thin lines in the histogram of cross-sections: columns of 1, 2, 3, ... atoms as they were counted; thick line: their sum.";
}

function columnTables() {
  const empty = ({ numeric, values }) => numeric && values.length > 0 && !finite(values).length;
  mainTable(byId("atoms-table"), "columns.csv", (column) => empty(column) || /_esd$|_68$|^u\d\d$|^[hk]$|_covariance$|^cell_/.test(column.name));
  if (report.rejected[0].values.length) new Table(byId("rejected-table"), report.rejected, { file: "rejected.csv" });
  else nothing(byId("rejected-table"), "There are none.");
}

numbersPanel();
crystalPanel();
columnTables();
expectLaw();
histogramPanel(byId("histogram-one"), "cross_section");
residualsPanel();
scatterPanel(byId("scatter-one"), ["cross_section"], ["count", "width", "score"]);
scatterPanel(byId("scatter-two"), ["cross_section"], ["x_esd"]);
if (report.model3d) modelPanel();
runPanel("How the image was read", report.summary.image.notes);
await loadPictures();
micrographsPanel(redraw);
columnsPanel("cross_section");
document.documentElement.dataset.ready = "true";
