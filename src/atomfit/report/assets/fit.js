// How well the model describes what was measured: the fit's course, and what it leaves.

// The misfit after each iteration, in its unit; and what is said of it.
function convergencePanel(history, label, words) {
  if (!history?.length) return nothing(byId("convergence"), "There was no joint fit.");
  const points = history.map((value, i) => [i + 1, value]);
  chart(byId("convergence"), {
    x: { label: "iteration", range: rangeOf([0.5, history.length + 0.5], 0) },
    y: { label, range: rangeOf(history, 0.08) },
    draw: (toX, toY) => curve(points, toX, toY) + dots(points, toX, toY),
  });
  byId("convergence-words").textContent = words;
}

function residualsPanel() {
  const found = report.residuals;
  if (!found) return nothing(byId("residuals"), "There is no residual to show.");
  const { edges, density, pieces, where, unit } = found;
  const bins = { start: edges[0], step: edges[1] - edges[0], counts: density };
  const normal = Array.from({ length: 121 }, (_, i) => edges[0] + (i / 120) * (edges.at(-1) - edges[0])).map((z) => [
    z,
    Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI),
  ]);
  chart(byId("residuals"), {
    x: { label: "z = residual / standard deviation of the noise", range: [edges[0], edges.at(-1)] },
    y: { label: `part of ${pieces} per unit of z`, range: [0, Math.max(...density, 0.4) * 1.06] },
    draw: (toX, toY) => bars(bins, toX, toY) + curve(normal, toX, toY),
    name: "Histogram of residuals against the normal curve",
  });
  const measure = found.measured ? "the noise that was measured" : "its own spread, for want of a measured noise";
  const spread = found.measured ? `standard deviation 1; that of the bars is ${brief(found.deviation, 3)}. ` : "only the shapes can be compared. ";
  byId("residuals-words").textContent =
    `Residual of the ${brief(found.count)} ${pieces} ${where}, in units of ${measure} (${brief(found.noise, 3)} ${unit}). ` +
    `The line is what normal noise would give: ${spread}` +
    `${brief(found.beyond)} ${pieces} lie beyond ±${brief(edges.at(-1))}.`;
}
