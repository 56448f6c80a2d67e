// Numbers of all views, against their tilt or their number; those that the fit has not seen are hollow.

const partsOfViews = { backgrounds: "background", gains: "brightness (gain)", shifts: "drift", turns: "rotation" };

// What is drawn: a title, the part of a view that must have been refined for it, the columns, and their names.
const viewCharts = [
  { title: "Correlation", names: ["correlation"] },
  { title: "R-factor", names: ["r_factor"] },
  { title: "Drift", part: "shifts", names: ["shift_u", "shift_v"], label: "drift (Å)" },
  { title: "Turn", part: "turns", names: ["turn"] },
  { title: "Gain", part: "gains", names: ["gain"] },
  { title: "Background", part: "backgrounds", names: ["background"] },
];

const viewFrame = { width: 360, height: 240 };

function listOf(words) {
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words.join("");
}

function wordsOfRefined() {
  const named = (wanted) => Object.keys(partsOfViews).filter((part) => report.refined.includes(part) === wanted).map((part) => partsOfViews[part]);
  const [refined, given] = [named(true), named(false)];
  const said = [
    refined.length ? `Of each view the fit has refined the ${listOf(refined)}.` : "",
    given.length ? `Taken as given: ${listOf(given)}.` : "",
    viewColumns.get("held_out").values.includes(1) ? "Views that were held out got a gain and a background of their own afterwards, nothing else." : "",
  ];
  return said.filter(Boolean).join(" ");
}

function drawViewChart(host, { title, names, label }) {
  const x = viewColumns.get(byId("views-across").value);
  const shown = names.map((name) => viewColumns.get(name));
  const held = viewColumns.get("held_out").values;
  const series = shown.map(({ values }) => pairsOf(x.values, values));
  const all = series.flat();
  const kindOf = (line, view) => `view${line ? " other" : ""}${held[view] ? " held" : ""}`;
  const drawn = (points, line, toX, toY) =>
    points.map(([a, b, view]) => mark("circle", { class: kindOf(line, view), cx: toX(a), cy: toY(b), r: 3 })).join("");
  const { toX, toY, drawing } = chart(host, {
    x: { label: labelOf(x), range: rangeOf(all.map(([a]) => a), 0.05) },
    y: { label: label ?? labelOf(shown[0]), range: rangeOf(all.map(([, b]) => b), 0.08) },
    draw: (toX, toY) =>
      mark("line", { class: "guide", y1: frameMargin.top, y2: viewFrame.height - frameMargin.bottom }) + series.map((points, line) => drawn(points, line, toX, toY)).join(""),
    name: `${title} of the views`,
    ...viewFrame,
  });
  if (names.length > 1) host.append(dotKey([["along u", "view"], ["along v", "view other"]]));
  onNearest(drawing, all, toX, toY, (view) => viewer.showNear(view));
  const line = drawing.querySelector(".guide");
  return () => {
    for (const end of ["x1", "x2"]) line.setAttribute(end, toX(x.values[viewer.view]));
  };
}

function viewsPanel() {
  const across = byId("views-across");
  for (const name of ["tilt", "view"].filter((one) => viewColumns.has(one))) {
    across.append(element("option", { value: name, textContent: labelOf(viewColumns.get(name)) }));
  }
  byId("refined").textContent = wordsOfRefined();
  const shown = viewCharts.filter(({ part }) => !part || report.refined.includes(part));
  const hosts = shown.map(({ title }) => {
    const area = element("div");
    byId("view-charts").append(element("figure", {}, element("h4", { textContent: title }), area));
    return area;
  });
  let follow = [];
  const followView = () => follow.forEach((move) => move());
  const draw = () => {
    follow = shown.map((one, i) => drawViewChart(hosts[i], one));
    followView();
  };
  across.onchange = draw;
  viewer.listeners.push(followView);
  if (viewColumns.get("held_out").values.includes(1)) byId("views-key").append(dotKey([["fitted", "view"], ["held out", "view held"]]));
  new Table(byId("views-table"), report.views, { file: "views.csv", onRow: (view) => viewer.showNear(view) });
  draw();
}
