// Planes through map, model and residual. The map is made here, as the sum of the other two.

const volumes = (() => {
  const { shape, spacing, origin, model, residual, interpolated } = report.slices;
  const decode = ({ bytes, low, high }) => {
    const levels = bytesOf(bytes);
    return (at) => low + (levels[at] / 255) * (high - low);
  };
  const [modelAt, residualAt] = [decode(model), decode(residual)];
  // The map's noise is seen on either side of the model's lowest value, atoms or none.
  const grey = [model.low - 3 * residual.rms, Math.max(model.high, model.low + 3 * residual.rms)];
  const sides = [-4 * residual.rms || -1, 4 * residual.rms || 1];
  return {
    counts: [shape[2], shape[1], shape[0]],
    spacing,
    origin,
    interpolated,
    strides: [1, shape[2], shape[1] * shape[2]],
    pictures: [
      { title: "Map", at: (at) => modelAt(at) + residualAt(at), scale: paperToInk, range: grey },
      { title: "Model", at: modelAt, scale: paperToInk, range: grey },
      { title: "Residual (map minus model)", at: residualAt, scale: blueToRed, range: sides },
    ],
  };
})();

// Which axes go across and up in the plane that is normal to a third.
const planes = [
  { normal: 2, across: 0, up: 1 },
  { normal: 1, across: 0, up: 2 },
  { normal: 0, across: 1, up: 2 },
].map((plane) => ({ ...plane, index: Math.floor(volumes.counts[plane.normal] / 2), canvases: [] }));

// Atoms so near a plane are marked in it (Å).
const nearPlane = 0.7;

function coordinate(axis, index) {
  return volumes.origin[axis] + index * volumes.spacing[axis];
}

function pictureOf(plane, picture) {
  const [width, height] = [volumes.counts[plane.across], volumes.counts[plane.up]];
  const palette = paletteOf(picture.scale, 256);
  const [low, high] = picture.range;
  return painted(width, height, (u, row) => {
    // Rows of a picture go down, coordinates up.
    const v = height - 1 - row;
    const value = picture.at(plane.index * volumes.strides[plane.normal] + u * volumes.strides[plane.across] + v * volumes.strides[plane.up]);
    const level = Math.round((255 * (value - low)) / (high - low));
    return palette[Math.min(Math.max(level, 0), 255)];
  });
}

// The picture's place in its canvas, all to one scale (pixels of the page).
function frameOf(plane, width) {
  const lengths = volumes.counts.map((count, axis) => count * volumes.spacing[axis]);
  const [left, bottom, top] = [46, 40, 8];
  const scale = (width - left - 8) / Math.max(lengths[0], lengths[1]);
  const [w, h] = [lengths[plane.across] * scale, lengths[plane.up] * scale];
  return { left, top, scale, w, h, width, height: h + top + bottom };
}

function drawPlane(plane) {
  volumes.pictures.forEach((picture, i) => {
    const canvas = plane.canvases[i];
    const frame = frameOf(plane, canvas.clientWidth);
    const paint = begunWith(pictureOf(plane, picture), canvas, frame);
    if (byId("marks").checked || selection.index !== null) markAtoms(paint, plane, frame);
    const place = placing(plane, frame);
    drawRulers(paint, frame, rulerOf(plane.across, place.x), rulerOf(plane.up, place.y));
  });
  plane.label.textContent = `${"xyz"[plane.normal]} = ${coordinate(plane.normal, plane.index).toFixed(2)} Å`;
  plane.slider.value = plane.index;
}

function rulerOf(axis, place) {
  return { label: `${"xyz"[axis]} (Å)`, ends: [coordinate(axis, 0), coordinate(axis, volumes.counts[axis] - 1)], place };
}

// From coordinates (Å) to pixels; voxels are drawn about their centres.
function placing({ across, up }, { left, top, scale, h }) {
  return {
    x: (value) => left + (value - volumes.origin[across] + volumes.spacing[across] / 2) * scale,
    y: (value) => top + h - (value - volumes.origin[up] + volumes.spacing[up] / 2) * scale,
  };
}

function markAtoms(paint, plane, frame) {
  const at = [0, 1, 2].map((axis) => columns.get("xyz"[axis]).values);
  const place = placing(plane, frame);
  const height = coordinate(plane.normal, plane.index);
  for (let i = 0; i < atomCount; i += 1) {
    const chosen = i === selection.index;
    const near = Math.abs(at[plane.normal][i] - height) < nearPlane;
    if (!near || !(chosen || byId("marks").checked)) continue;
    markAtom(paint, place.x(at[plane.across][i]), place.y(at[plane.up][i]), chosen ? markColours.chosen : markColours.atom);
  }
}

function throughPlace(place) {
  for (const plane of planes) {
    const index = Math.round((place[plane.normal] - volumes.origin[plane.normal]) / volumes.spacing[plane.normal]);
    plane.index = Math.min(Math.max(index, 0), volumes.counts[plane.normal] - 1);
    drawPlane(plane);
  }
}

function planeRow(plane) {
  const normal = "xyz"[plane.normal];
  plane.slider = element("input", { type: "range", min: 0, max: volumes.counts[plane.normal] - 1, ariaLabel: `Plane across ${normal}` });
  plane.label = element("output");
  plane.canvases = volumes.pictures.map((picture) =>
    Object.assign(element("canvas"), { ariaLabel: `${picture.title}, plane across ${normal}` }),
  );
  plane.slider.oninput = () => {
    plane.index = Number(plane.slider.value);
    drawPlane(plane);
  };
  for (const canvas of plane.canvases) canvas.onclick = (event) => clickPlane(plane, canvas, event);
  const controls = element("div", { className: "controls" }, element("label", {}, `Plane across ${normal} `, plane.slider), plane.label);
  return element("div", { className: "plane" }, controls, ...plane.canvases.map((canvas, i) => titledPicture(volumes.pictures[i].title, canvas)));
}

// The other two planes go through the place that was clicked.
function clickPlane(plane, canvas, event) {
  const frame = frameOf(plane, canvas.clientWidth);
  const place = [];
  place[plane.normal] = coordinate(plane.normal, plane.index);
  place[plane.across] = volumes.origin[plane.across] + (event.offsetX - frame.left) / frame.scale - volumes.spacing[plane.across] / 2;
  place[plane.up] = volumes.origin[plane.up] + (frame.top + frame.h - event.offsetY) / frame.scale - volumes.spacing[plane.up] / 2;
  throughPlace(place);
}

function placeOf(index) {
  return ["x", "y", "z"].map((name) => columns.get(name).values[index]);
}

// The place of the atom nearest to another; nothing without atoms.
function atomNearest(place) {
  const away = (at) => Math.hypot(...at.map((value, k) => value - place[k]));
  const places = Array.from({ length: atomCount }, (_, index) => placeOf(index));
  return places.length ? places.reduce((best, at) => (away(at) < away(best) ? at : best)) : null;
}

function slicesPanel() {
  byId("planes").replaceChildren(pictureHeads(volumes.pictures, "map units"), ...planes.map(planeRow));
  byId("slices-note").textContent =
    "Click a picture to put the other planes through that place. Colours of the residual reach to four times its " +
    "root-mean-square. " +
    (volumes.interpolated
      ? `The map is shown on voxels of ${brief(volumes.spacing[0], 3)} Å, larger than its own; residual.mrc has all of them.`
      : "Squares are the map's own voxels.");
  const middle = volumes.counts.map((count, axis) => coordinate(axis, (count - 1) / 2));
  const central = atomNearest(middle);
  byId("centre").onclick = () => throughPlace(central ?? middle);
  const redrawPlanes = () => planes.forEach(drawPlane);
  byId("marks").onchange = redrawPlanes;
  window.addEventListener("resize", redrawPlanes);
  theme.drawings.push(redrawPlanes);
  selection.listeners.push((index) => {
    if (index === null) redrawPlanes();
    else throughPlace(placeOf(index));
  });
  throughPlace(central ?? middle);
}
