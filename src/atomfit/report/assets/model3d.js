// The model in three dimensions: two views across the beam, and what is known of its sites.

function modelView(host, across, depth, name) {
  const { sites, radius } = report.model3d;
  const how = byId("model-colour").value;
  const range = how === "cn" ? colourRange(sites.cn) : [0, 1];
  const order = Array.from(sites.height.keys()).sort((i, j) => depth[i] - depth[j]);
  const [xs, zs] = [across, sites.height].map((values) => endsOf(values).map((end, k) => end + (2 * k - 1) * 1.2 * radius));
  // As long up as across.
  const [width, margin] = [520, 90];
  const height = Math.min(Math.max(margin + ((width - margin) * (zs[1] - zs[0])) / (xs[1] - xs[0]), 200), 700);
  chart(host, {
    x: { label: `${name} (Å)`, range: xs },
    y: { label: "along the beam (Å)", range: zs },
    width,
    height,
    name: `the model seen ${name}`,
    draw: (toX, toY) => {
      const size = 0.8 * radius * Math.abs(toX(1) - toX(0));
      return order
        .map((i) => {
          const colour = cssOf(colourAt(viridis, (sites[how][i] - range[0]) / (range[1] - range[0])));
          const at = { cx: toX(across[i]), cy: toY(sites.height[i]) };
          if (!sites.chosen[i]) return mark("circle", { ...at, r: 0.9 * size, fill: "none", stroke: colour, "stroke-width": 2, opacity: Math.max(sites.probability[i], 0.15) });
          return mark("circle", { ...at, r: size, fill: colour, stroke: "white", "stroke-width": 0.7, opacity: 0.5 + 0.5 * sites.probability[i] });
        })
        .join("");
    },
  });
  byId("model-bar").innerHTML = colourBar(viridis, range, how === "cn" ? "coordination number" : "probability that an atom is there");
}

function modelViews() {
  const { sites } = report.model3d;
  modelView(byId("model-first"), sites.along, sites.across, "along the first direction");
  modelView(byId("model-second"), sites.across, sites.along, "across it");
}

function modelShells() {
  const { numbers, errors } = report.model3d.shells;
  const most = Math.max(...numbers.map((value, i) => value + errors[i]));
  chart(byId("model-shells"), {
    x: { label: "coordination number", range: [-0.6, numbers.length - 0.4], whole: true },
    y: { label: "atoms", range: [0, 1.06 * most || 1] },
    name: "atoms by their coordination number",
    draw: (toX, toY) => {
      const errorBar = (value, i) => mark("line", { x1: toX(i), x2: toX(i), y1: toY(Math.max(value - errors[i], 0)), y2: toY(value + errors[i]), class: "curve" });
      return bars({ start: -0.5, step: 1, counts: numbers }, toX, toY) + numbers.map(errorBar).join("");
    },
  });
}

function modelPanel() {
  const { open, numbers, notes, doubts } = report.model3d;
  byId("model-colour").onchange = modelViews;
  const edges = Array.from({ length: 11 }, (_, i) => i / 10);
  const counts = edges.slice(1).map((high, i) => open.filter((p) => p > edges[i] && p <= high).length);
  drawCounts(byId("model-open"), edges, counts, "probability that an atom is there", "sites", "sites by their probability");
  byId("model-notes").append(...[...doubts, ...notes].map((textContent) => element("li", { textContent })));
  byId("model-numbers").append(
    factTable(["", "value", "unit"], numbers.map(({ name, value, esd, unit }) => [name, esd > 0 ? `${asFarAsKnown(value, esd)} ± ${asFarAsKnown(esd, esd)}` : value, unit])),
  );
  modelViews();
  modelShells();
}
