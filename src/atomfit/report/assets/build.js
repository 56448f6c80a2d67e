// The panels that only a map's page has; and all its panels, drawn.

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
      `The optimum by the published procedure, of ${curveOf.threshold.length} thresholds tried, is ${brief(threshold)} (dot on the line with points): it gives ${brief(atoms)} atoms, ` +
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
    `By the refined model it would be ${brief(optimum.threshold)} (dot on the other line): there the voxels that are cut out of the denoised map agree best ` +
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

const convergence =
  `Half the sum of squared residuals, in units of a typical atom's squared height, after each iteration. The fit of ` +
  `${brief(fit.parameters)} numbers to ${brief(fit.voxels)} voxels ended after ${brief(fit.iterations)} iterations: ${fit.reason}. ` +
  `A jump is where the fit's terms changed: the weights of the noise, or what displacements are drawn to.`;

thresholdPanel();
statisticsPanels("u_iso");
convergencePanel(fit.history, "misfit (squared peaks)", convergence);
residualsPanel();
baselinePanel();
runPanel("How the map was read", report.summary.map.notes);
particlePanel("u_iso", "cn");
slicesPanel();
document.documentElement.dataset.ready = "true";
