// What is told of a particle's atoms, however they were found: as a whole, one by one, in charts and in tables.

function particleNumbersPanel() {
  const known = report.particle.filter(({ value }) => value !== null);
  if (!known.length) return;
  byId("particle-numbers").append(
    element("h3", { textContent: "The particle as a whole" }),
    factTable(["statistic", "value", "standard uncertainty", "unit"], known.map(({ name, value, esd, unit }) => [name, asFarAsKnown(value, esd), asFarAsKnown(esd, esd), unit])),
  );
}

function distancesPanel() {
  const { pair_distribution: pairs, bond_lengths: bonds } = report;
  if (!pairs?.pairs.length || !bonds.bonds.length) {
    for (const id of ["pair-distances", "bond-lengths"]) nothing(byId(id), "There are no pairs of atoms.");
    return;
  }
  const first = pairs.pairs.findIndex((count) => count > 0);
  const from = Math.max(first - 4, 0);
  drawCounts(
    byId("pair-distances"),
    pairs.edges.slice(from),
    pairs.pairs_per_atom_and_angstrom.slice(from),
    "distance (Å)",
    "pairs per atom and Å",
    "Pair distribution",
  );
  drawCounts(byId("bond-lengths"), bonds.edges, bonds.bonds, "bond length (Å)", "bonds", "Distribution of bond lengths");
  const count = bonds.bonds.reduce((sum, one) => sum + one, 0);
  byId("bond-lengths").append(
    element("p", {
      className: "note",
      textContent:
        `${brief(count)} bonds shorter than ${brief(report.summary.cn_cutoff)} Å: mean ${brief(bonds.mean)} Å, ` +
        `median ${brief(bonds.median)} Å, standard deviation ${brief(bonds.standard_deviation, 3)} Å.`,
    }),
  );
}

function tablesPanel() {
  const empty = ({ numeric, values }) => numeric && !finite(values).length;
  mainTable(byId("atoms-table"), "atoms.csv", (column) => empty(column) || /_esd$|^logfit_|^com_|^u\d\d$/.test(column.name));
  if (report.rejected[0].values.length) new Table(byId("rejected-table"), report.rejected, { file: "rejected.csv" });
  else nothing(byId("rejected-table"), "There are none.");
}

// Wanted are columns, the best first; one that is the same for all atoms gives way to the next.
function statisticsPanels(...wanted) {
  particleNumbersPanel();
  tablesPanel();
  scatterPanel(byId("scatter-one"), ["cn"], wanted);
  scatterPanel(byId("scatter-two"), ["radial_depth"], wanted);
  histogramPanel(byId("histogram-one"), ...wanted);
  histogramPanel(byId("histogram-two"), "nn_distance");
  distancesPanel();
  coordinationPanel(byId("by-coordination"), "cn", ...wanted);
}
