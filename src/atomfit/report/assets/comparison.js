// The panels of two models compared; and all panels, drawn.

const { counts, percentages, common_pairs: apart, significance, registration } = report.found;

function statusesPanel() {
  const { a, b } = report.found;
  const part = (count, whole) => `${((100 * count) / whole).toFixed(1)} %`;
  const row = (status) => [status, counts[status], status === "gained" ? "" : part(counts[status], a.atoms), status === "lost" ? "" : part(counts[status], b.atoms)];
  byId("statuses").append(
    factTable(["by distance", "atoms", "of A", "of B"], [
      ...["common", "displaced", "lost", "gained"].map(row),
      ["different", "", part(counts.different_in_a, a.atoms), part(counts.different_in_b, b.atoms)],
    ]),
    element("p", {
      className: "note",
      textContent:
        `Pairs closer than ${brief(report.found.distance)} Å are common, all other atoms different; ${percentages.common_of_union.toFixed(1)} % ` +
        `of the atoms of either model are common. Atoms left over that lie within ` +
        `${brief(report.found.displaced_reach, 3)} Å of each other are read as one that was displaced; the rest was lost or gained.`,
    }),
  );
  byId("significance").append(
    factTable(["by significance", ""], [
      ["pairs tested", significance.tested],
      ["moved", significance.tested ? significance.moved : "not tested"],
      ["of these common", significance.tested ? significance.moved_common : "not tested"],
      ["false-discovery rate", `${brief(100 * significance.fdr)} %`],
      ["error bars are too small by", asFarAsKnown(significance.error_bars_too_small_by, significance.error_bars_too_small_by_esd)],
      ["standard uncertainty of that", asFarAsKnown(significance.error_bars_too_small_by_esd, significance.error_bars_too_small_by_esd)],
    ]),
    factTable(["common pairs", "Å"], [
      ["root-mean-square distance", apart.rmsd],
      ["median distance", apart.median],
      ["largest distance", apart.largest],
    ]),
  );
}

// What the standard uncertainties of the displacements alone would make of their lengths, if alike in all directions.
function expectedDensity(distance, errors) {
  const one = (sigma) => Math.sqrt(2 / Math.PI) * (distance ** 2 / sigma ** 3) * Math.exp(-(distance ** 2) / (2 * sigma ** 2));
  return mean(errors.map(one));
}

function distancesPanel() {
  const rows = columns.get("status").values.map((status, i) => [status, columns.get("distance").values[i], columns.get("distance_esd").values[i]]);
  const common = rows.filter(([status]) => status === "common");
  const values = common.map(([, distance]) => distance);
  if (!values.length) return nothing(byId("distances"), "No atom is common.");
  const bins = binsOf(values);
  const errors = finite(common.map(([, , esd]) => esd)).filter((esd) => esd > 0);
  const end = bins.start + bins.step * bins.counts.length;
  const steps = Array.from({ length: 121 }, (_, i) => (i / 120) * end);
  // A sample of the errors is enough, of thousands.
  const some = errors.filter((_, i) => i % Math.ceil(errors.length / 400) === 0);
  const wanted = some.length ? steps.map((x) => [x, expectedDensity(x, some) * errors.length * bins.step]) : [];
  chart(byId("distances"), {
    x: { label: "distance (Å)", range: [0, end] },
    y: { label: "common atoms", range: [0, Math.max(...bins.counts, ...wanted.map(([, y]) => y)) * 1.06] },
    draw: (toX, toY) => bars(bins, toX, toY) + curve(wanted, toX, toY, "wanted"),
    name: "Distribution of displacements",
  });
  byId("distances-words").textContent =
    `${brief(values.length)} common atoms: median ${brief(apart.median, 3)} Å, root-mean-square ${brief(apart.rmsd, 3)} Å.` +
    (wanted.length ? " The line is what the standard uncertainties alone would make of them, if alike in all directions." : "");
}

function probabilitiesPanel() {
  const host = byId("probabilities");
  const kinds = [["p_value", "error bars as they are"], ["p_calibrated", "calibrated error bars"]];
  const select = element("select", {}, ...kinds.map(([value, textContent]) => element("option", { value, textContent })));
  const area = element("div");
  const words = byId("probabilities-words");
  const draw = () => {
    const values = finite(columns.get(select.value).values);
    if (!values.length) return nothing(area, "There are no error bars to judge displacements by.");
    const count = Math.min(Math.max(Math.round(values.length / 10), 5), 20);
    const tally = new Array(count).fill(0);
    for (const value of values) tally[Math.min(Math.floor(value * count), count - 1)] += 1;
    const level = values.length / count;
    chart(area, {
      x: { label: "p-value (of all pairs)", range: [0, 1] },
      y: { label: "pairs", range: [0, Math.max(...tally) * 1.06] },
      draw: (toX, toY) => bars({ start: 0, step: 1 / count, counts: tally }, toX, toY) + curve([[0, level], [1, level]], toX, toY, "wanted"),
      name: "Distribution of p-values",
    });
    words.textContent =
      "Atoms that did not move have p-values between 0 and 1 alike, as the line has it, if error bars are right. " +
      "Atoms that moved are in the first bar. Bars that fall from left to right say that error bars are too small.";
  };
  select.onchange = draw;
  host.replaceChildren(element("div", { className: "controls" }, element("label", {}, "With ", select)), area);
  draw();
}

function agreementsPanel() {
  const rows = Object.entries(report.found.z).filter(([, z]) => z.count > 0).map(([name, z]) => [name, z.count, z.mean, z.deviation, z.robust_deviation]);
  if (!rows.length) return nothing(byId("agreements"), "No number has standard uncertainties in both models.");
  byId("agreements").append(factTable(["number", "common atoms", "mean", "standard deviation", "robust deviation"], rows));
}

function registrationPanel() {
  const { how, angle, rotation_vector: axis, rotation_esd: turns, translation, centre_esd: shifts } = registration;
  const three = (values, errors) => values.map((value, k) => asFarAsKnown(value, errors?.[k] ?? null)).map((value) => (typeof value === "number" ? brief(value) : value)).join(", ");
  const rows = [
    ["frames", { agreed: "agreed, and were refined", found: "were found", given: "left as they are" }[how]],
    ["angle (°)", angle],
    ["rotation vector (°)", three(axis, turns)],
    ["standard uncertainty about x, y, z (°)", three(turns, turns)],
    ["translation (Å)", three(translation)],
    ["standard uncertainty in the middle (Å)", three(shifts, shifts)],
    ["pairs fitted", registration.pairs_fitted],
    ["pairs near", registration.pairs_near],
    ["pairs near in the next best orientation", registration.pairs_near_next_best],
    ["other orientations that are as good", registration.equal_orientations],
  ];
  byId("registration-table").append(
    factTable(null, rows),
    element("p", { className: "note", textContent: "A place x of B is at R x + t in A's frame; the rotation vector is R's axis, as long as its angle." }),
  );
}

function tablesPanel() {
  const details = ({ name }) => /_esd$|_calibrated$|^[xyz]_|^d[xyz]$|^element_|^hull_/.test(name);
  mainTable(byId("atoms-table"), "compare.csv", details);
}

statusesPanel();
tablesPanel();
distancesPanel();
probabilitiesPanel();
scatterPanel(byId("scatter-one"), ["radial_depth_a"], ["distance_common"]);
scatterPanel(byId("scatter-two"), ["cn_a"], ["distance_common"]);
coordinationPanel(byId("by-coordination"), "cn_a", "distance_common");
agreementsPanel();
histogramPanel(byId("histogram-one"), "u_iso_z", "distance_common", "distance");
histogramPanel(byId("histogram-two"), "distance_z", "distance");
registrationPanel();
madePanel();
particlePanel("status");
document.documentElement.dataset.ready = "true";
