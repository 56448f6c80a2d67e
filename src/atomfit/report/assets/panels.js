// The panels that tell of the run as a whole; and all panels, drawn.

const { detection, fit, contour, baseline } = report.summary;

function thresholdPanel() {
  const curveOf = detection.threshold_curve;
  const level =
    contour.level === null
      ? "No voxel belongs to an atom, so that there is no contour level."
      : `To see the particle in a viewer, contour the map at ${brief(contour.level)} map units ` +
        `(${brief(contour.sigma, 3)} standard deviations above its mean): the level at which the cut-out voxels agree best ` +
        `with those of the refined model (agreement F1 = ${brief(contour.f1, 3)}; 1 is perfect).`;
  const paragraphs = [level];
  if (curveOf) {
    const { threshold, atoms, correlation: r } = detection.threshold;
    paragraphs.unshift(
      `The optimum by the published procedure, of ${curveOf.threshold.length} thresholds tried, is ${brief(threshold)} (red): it gives ${brief(atoms)} atoms, ` +
        `whose simulated map correlates with the denoised map to ${brief(r)}.`,
      ...byModel(detection.model_threshold),
      `The refined model has ${brief(report.summary.atoms)} atoms, after those that the fit added or removed; ` +
        `${brief(report.summary.discarded)} places were considered and are no atoms.`,
    );
    drawThresholds(curveOf, detection.threshold);
  } else nothing(byId("threshold"), "No threshold was searched: nothing stands out from the noise.");
  byId("threshold-words").append(...paragraphs.map((text) => element("p", { textContent: text })));
}

function byModel(optimum) {
  if (!optimum) return [];
  return [
    `By the refined model it would be ${brief(optimum.threshold)} (green): there the voxels that are cut out of the denoised map agree best ` +
      `with those that the model gives to atoms (F1 = ${brief(optimum.f1, 3)}: the harmonic mean of the part of the cut-out voxels ` +
      `that are an atom's and the part of the atoms' voxels that are cut out).`,
  ];
}

// The paper's curve and the model's in one frame, each with its optimum.
function drawThresholds({ threshold, correlation: r }, best) {
  const byMap = { points: threshold.map((value, i) => [value, r[i]]), optimum: [best.threshold, best.correlation], kind: "" };
  const { model_threshold: own, model_curve: model } = detection;
  const byFit = own && { points: model.threshold.map((value, i) => [value, model.f1[i]]), optimum: [own.threshold, own.f1], kind: " other" };
  const shown = byFit ? [byMap, byFit] : [byMap];
  const all = shown.flatMap(({ points, optimum }) => [...points, optimum]);
  const drawn = ({ points, optimum, kind }, toX, toY) => {
    const [x, y] = [toX(optimum[0]), toY(optimum[1])];
    const line = mark("line", { class: `mark${kind}`, x1: x, x2: x, y1: y, y2: 330 - frameMargin.bottom });
    return curve(points, toX, toY, `curve${kind}`) + (kind ? "" : dots(points, toX, toY)) + line + mark("circle", { class: `best${kind}`, cx: x, cy: y, r: 5 });
  };
  chart(byId("threshold"), {
    x: { label: "threshold (units of the denoised map)", range: rangeOf(all.map(([x]) => x)) },
    y: { label: byFit ? "agreement (1 is perfect)" : "correlation with the map", range: rangeOf(all.map(([, y]) => y), 0.08) },
    draw: (toX, toY) => shown.map((one) => drawn(one, toX, toY)).join(""),
    name: "Agreement with the map against threshold",
  });
  if (byFit) byId("threshold").append(lineKey([["correlation of simulated atoms with the map (paper)", "curve"], ["F1 with the refined model's voxels", "curve other"]]));
}

function convergencePanel() {
  const history = fit.history ?? [];
  if (!history.length) return nothing(byId("convergence"), "There was no joint fit.");
  const points = history.map((value, i) => [i + 1, value]);
  chart(byId("convergence"), {
    x: { label: "iteration", range: rangeOf([0.5, history.length + 0.5], 0) },
    y: { label: "misfit (squared peaks)", range: rangeOf(history, 0.08) },
    draw: (toX, toY) => curve(points, toX, toY) + dots(points, toX, toY),
  });
  byId("convergence-words").textContent =
    `Half the sum of squared residuals, in units of a typical atom's squared height, after each iteration. The fit of ` +
    `${brief(fit.parameters)} numbers to ${brief(fit.voxels)} voxels ended after ${brief(fit.iterations)} iterations: ${fit.reason}. ` +
    `A jump is where the fit's terms changed: the weights of the noise, or what displacements are drawn to.`;
}

function residualsPanel() {
  const found = report.residuals;
  if (!found) return nothing(byId("residuals"), "There is no residual to show.");
  const { edges, density } = found;
  const bins = { start: edges[0], step: edges[1] - edges[0], counts: density };
  const normal = Array.from({ length: 121 }, (_, i) => edges[0] + (i / 120) * (edges.at(-1) - edges[0])).map((z) => [
    z,
    Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI),
  ]);
  chart(byId("residuals"), {
    x: { label: "z = residual / standard deviation of the noise", range: [edges[0], edges.at(-1)] },
    y: { label: "part of voxels per unit of z", range: [0, Math.max(...density, 0.4) * 1.06] },
    draw: (toX, toY) => bars(bins, toX, toY) + curve(normal, toX, toY),
    name: "Histogram of residuals against the normal curve",
  });
  const unit = found.measured ? "the noise that was measured" : "its own spread, for want of a measured noise";
  const spread = found.measured ? `standard deviation 1; that of the bars is ${brief(found.deviation, 3)}. ` : "only the shapes can be compared. ";
  byId("residuals-words").textContent =
    `Residual of the ${brief(found.voxels)} voxels around the atoms, in units of ${unit} (${brief(found.noise, 3)} map units). ` +
    `The line is what normal noise would give: ${spread}` +
    `${brief(found.beyond)} voxels lie beyond ±${brief(edges.at(-1))}.`;
}

function baselinePanel() {
  const [alone, together] = [columns.get("logfit_u_iso"), columns.get("u_iso")];
  const drawn = alone && together ? drawScatter(byId("baseline"), alone, together, { diagonal: true }) : nothing(byId("baseline"), "The log-fit is not there.");
  if (drawn) selection.listeners.push(drawn.show);
  const outside = drawn?.outside ? ` ${brief(drawn.outside)} atoms lie outside the picture.` : "";
  const { medians } = report.summary;
  const rows = [
    ["correlation of model and map", fit.correlation, baseline.correlation],
    ["chi-square per degree of freedom", fit.chi_square_reduced ?? null, null],
    ["median U_iso (Å²)", medians.u_iso, baseline.medians.u_iso],
    ["median degree of isotropy", medians.doi, baseline.medians.doi],
    ["atoms without a result", together ? atomCount - finite(together.values).length : null, baseline.failed_isotropic],
  ];
  byId("baseline-numbers").replaceChildren(
    factTable(["", fit.method === "joint" ? "joint fit" : "result", "log-fit"], rows),
    element("p", {
      className: "note",
      textContent: "U_iso is the mean square displacement of an atom along one direction; the degree of isotropy is 1 for an atom that moves alike in all directions." + outside,
    }),
  );
}

function particleNumbersPanel() {
  if (!report.particle.length) return;
  byId("particle-numbers").append(
    element("h3", { textContent: "The particle as a whole" }),
    factTable(["statistic", "value", "standard uncertainty", "unit"], report.particle.map(({ name, value, esd, unit }) => [name, asFarAsKnown(value, esd), asFarAsKnown(esd, esd), unit])),
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
  mainTable(byId("atoms-table"), "atoms.csv", ({ name }) => /_esd$|^logfit_|^com_|^u\d\d$/.test(name));
  if (report.rejected[0].values.length) new Table(byId("rejected-table"), report.rejected, { file: "rejected.csv" });
  else nothing(byId("rejected-table"), "There are none.");
}

function madePanel() {
  const { versions, options, input, command, device, machine, seconds } = report.run;
  recordPanel(
    [
      ["Input", [...flat(input), ["command", command.join(" ")]]],
      ["How the map was read", report.summary.map.notes.map((note) => [note])],
    ],
    [
      ["Options", flat(options)],
      ["Versions", flat(versions)],
      ["Time", Object.entries(seconds).map(([stage, spent]) => [stage, `${spent.toFixed(2)} s`])],
      ["Computer", flat({ device, machine })],
    ],
  );
}

particleNumbersPanel();
tablesPanel();
thresholdPanel();
scatterPanel(byId("scatter-one"), ["cn"], ["u_iso"]);
scatterPanel(byId("scatter-two"), ["radial_depth"], ["u_iso"]);
histogramPanel(byId("histogram-one"), "u_iso");
histogramPanel(byId("histogram-two"), "nn_distance");
distancesPanel();
coordinationPanel(byId("by-coordination"), "cn", "u_iso");
convergencePanel();
residualsPanel();
baselinePanel();
madePanel();
particlePanel("u_iso", "cn");
slicesPanel();
document.documentElement.dataset.ready = "true";
