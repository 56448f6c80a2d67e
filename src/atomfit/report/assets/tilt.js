// The panels that only a tilt series' page has; and all its panels, drawn.

const { fit, uncertainty, selection: selected } = report.summary;

function certaintyPanel() {
  const rows = report.certainty.map(({ name, median, most, largest }) => [labelOf(columns.get(name.replace("_esd", ""))), median, most, largest]);
  const excess = uncertainty.excess_of_coloured_noise;
  const known = "widths, probe and the numbers of the views are taken to be known";
  const said = [
    uncertainty.neighbours_in_it
      ? `That atoms hide each other is in these numbers; ${known}.`
      : `Each atom's neighbours, ${known}.`,
    ...(excess > 1.05 ? [`Neighbouring pixels err together, which makes the variances of positions ${brief(excess, 3)} times as large; that is in these numbers too.`] : []),
    `A place that stands out by less than ${brief(selected.cut, 3)} σ is taken to be noise.`,
  ];
  byId("certainty-numbers").append(
    rows.length ? factTable(["uncertainty of", "median", "nine of ten below", "largest"], rows) : element("p", { className: "note", textContent: "They are not known." }),
    ...said.map((textContent) => element("p", { className: "note", textContent })),
  );
  histogramPanel(byId("scores"), "score", "evidence");
}

const convergence =
  `Misfit of images and model after each iteration of the last stage, which ended after ${brief(fit.iterations_of_last_stage)}: ${fit.reason}. ` +
  `From where this fit began, atoms have moved by ${brief(report.summary.start.moved_rms, 3)} Å (root-mean-square), at most by ${brief(report.summary.start.moved_most, 3)} Å.`;

statisticsPanels("u_iso", "mean_bond_length", "nn_distance");
convergencePanel(fit.history, "misfit", convergence);
residualsPanel();
if (report.run.options.likelihood === "poisson") byId("residuals-words").append(" Of few counts a pixel, bars stand apart: 0, 1, 2, ...");
certaintyPanel();
runPanel("How the images were read", report.summary.notes);
// Ellipsoids that are all alike say nothing.
if (!varies("u_iso")) byId("shape").value = "spheres";
particlePanel("u_iso", "cn");
imagesPanel();
viewsPanel();
document.documentElement.dataset.ready = "true";
