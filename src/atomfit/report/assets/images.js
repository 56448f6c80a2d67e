// One view after another: its image, the model's, and what is left, with the atoms where they are seen.

const viewColumns = new Map(report.views.map((column) => [column.name, column]));
const viewCount = report.views[0].values.length;

const viewer = (() => {
  const { measured, model, residual, shape, factor, views } = report.pictures;
  const notMeasured = [176, 190, 210, 255];
  const picture = (title, { bytes, low, high }, scale) => {
    return { title, scale, range: [low, high], levels: bytesOf(bytes), palette: [...paletteOf(scale, 255), notMeasured] };
  };
  const pictures = [
    picture("Measured", measured, inkToPaper),
    picture("Model", model, inkToPaper),
    picture("What is left (measured less model)", residual, blueToRed),
  ];
  return {
    views,
    factor,
    rows: shape[0],
    columns: shape[1],
    at: 0,
    canvases: [],
    listeners: [],
    sharp: pictures,
    pictures,
    get view() {
      return this.views[this.at];
    },
    // The view whose picture is nearest to one that may have none.
    showNear(view) {
      const away = (at) => Math.abs(this.views[at] - view);
      this.show(this.views.reduce((best, _, at) => (away(at) < away(best) ? at : best), 0));
    },
    show(at) {
      this.at = at;
      for (const listener of this.listeners) listener();
    },
  };
})();

function paintedView({ levels, palette }) {
  const from = viewer.at * viewer.rows * viewer.columns;
  return painted(viewer.columns, viewer.rows, (u, v) => palette[levels[from + v * viewer.columns + u]]);
}

function frameOfView(width) {
  const [left, top, bottom] = [46, 8, 40];
  const w = width - left - 8;
  const h = (w * viewer.rows) / viewer.columns;
  return { left, top, w, h, width, height: h + top + bottom };
}

// Where lengths from the specimen's centre (Å) are in a frame, along u or v.
function placingOfView({ left, top, w }) {
  const { first, factor, pixel, centres } = report.pictures;
  const scale = w / viewer.columns / factor;
  return [left, top].map((start, k) => {
    const shift = centres[viewer.at][k] - first[k] + 0.5;
    const end = factor * [viewer.columns, viewer.rows][k];
    return {
      label: `${"uv"[k]} (Å)`,
      ends: [-shift * pixel, (end - shift) * pixel],
      place: (value) => start + (value / pixel + shift) * scale,
    };
  });
}

// Where a point of the specimen is seen: u and v (Å).
function seenInView(point) {
  const { centre, rotations } = report.pictures;
  const r = rotations[viewer.at];
  const [x, y, z] = point.map((value, k) => value - centre[k]);
  return [r[0] * x + r[1] * y + r[2] * z, r[3] * x + r[4] * y + r[5] * z];
}

function placesInView(frame) {
  const rulers = placingOfView(frame);
  return (point) => seenInView(point).map((value, k) => rulers[k].place(value));
}

function atomPlace(index) {
  return ["x", "y", "z"].map((name) => columns.get(name).values[index]);
}

function drawView() {
  viewer.canvases.forEach((canvas, i) => {
    const frame = frameOfView(canvas.clientWidth);
    const paint = begunWith(paintedView(viewer.pictures[i]), canvas, frame);
    paint.save();
    paint.beginPath();
    paint.rect(frame.left, frame.top, frame.w, frame.h);
    paint.clip();
    markView(paint, placesInView(frame));
    paint.restore();
    drawRulers(paint, frame, ...placingOfView(frame));
  });
  byId("view-slider").value = viewer.at;
  byId("view-words").textContent = wordsOfView();
}

function markView(paint, placeOf) {
  if (byId("marks").checked) {
    for (const point of report.surroundings) markAtom(paint, ...placeOf(point), markColours.other, 2);
    for (let i = 0; i < atomCount; i += 1) markAtom(paint, ...placeOf(atomPlace(i)), markColours.seen, 2);
  }
  if (selection.index !== null) markAtom(paint, ...placeOf(atomPlace(selection.index)), markColours.chosen);
}

function wordsOfView() {
  const value = (name) => viewColumns.get(name)?.values[viewer.view];
  const said = [`number ${viewer.view} (0 to ${viewCount - 1})`];
  if (viewColumns.has("tilt")) said.push(`tilted by ${brief(value("tilt"), 3)}°`);
  said.push(`correlation ${brief(value("correlation"), 3)}`);
  if (value("held_out")) said.push("held out: the fit has not seen it");
  return said.join(", ");
}

// The atom that is seen nearest to a click.
function clickView(canvas, event) {
  const placeOf = placesInView(frameOfView(canvas.clientWidth));
  const away = (index) => {
    const [x, y] = placeOf(atomPlace(index));
    return Math.hypot(x - event.offsetX, y - event.offsetY);
  };
  const distances = Array.from({ length: atomCount }, (_, index) => away(index));
  const nearest = distances.indexOf(Math.min(...distances));
  if (distances[nearest] < 10) selection.set(nearest, "view");
}

function noteOnViews() {
  const { factor, views } = report.pictures;
  const all = "residual_images.mrc and model_images.mrc have all of them";
  const said = ["Click a picture to select the atom that is seen there. One scale of greys and one of colours stand for all views."];
  if (views.length < viewCount) {
    said.push(`${views.length} of ${viewCount} views are shown, evenly spread and with the one that agrees worst; ${all}.`);
  }
  said.push(factor > 1 ? `Squares are means of ${factor} × ${factor} pixels.` : "Squares are the images' own pixels.");
  if (viewer.pictures[0].levels.includes(255)) said.push("Pixels that were not measured are blue-grey.");
  if (report.surroundings.length) said.push("Marks in grey are atoms of the surroundings, which were not refined.");
  return said.join(" ");
}

// Blurred by a length (Å), or as they are.
function smoothViews() {
  const sigma = Number(byId("smooth").value) / report.pictures.pixel / viewer.factor;
  viewer.pictures = sigma ? smoothed(viewer.sharp, viewer.rows, viewer.columns, sigma) : viewer.sharp;
  byId("view-heads").replaceChildren(pictureHeads(viewer.pictures, "image units"));
  drawView();
}

function imagesPanel() {
  const row = element("div", { className: "plane" });
  viewer.canvases = viewer.pictures.map(({ title }) => Object.assign(element("canvas"), { ariaLabel: title }));
  row.append(...viewer.canvases.map((canvas, i) => titledPicture(viewer.pictures[i].title, canvas)));
  byId("view-pictures").replaceChildren(element("div", { id: "view-heads" }), row);
  byId("view-note").textContent = noteOnViews();
  const slider = byId("view-slider");
  slider.max = viewer.views.length - 1;
  slider.oninput = () => viewer.show(Number(slider.value));
  byId("marks").onchange = drawView;
  byId("smooth").onchange = smoothViews;
  for (const canvas of viewer.canvases) canvas.onclick = (event) => clickView(canvas, event);
  window.addEventListener("resize", drawView);
  theme.drawings.push(drawView);
  viewer.listeners.push(drawView);
  selection.listeners.push(drawView);
  viewer.at = Math.floor(viewer.views.length / 2);
  smoothViews();
}
