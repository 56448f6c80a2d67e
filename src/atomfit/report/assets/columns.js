// The panels of pages of an image's columns.

// Numbers of either sign, as strains are, have a scale whose middle is zero.
function paintColumn(column) {
  if (tellsKinds(column)) return paintKinds(column);
  const [low, high] = colourRange(column.values);
  if (column.group === "Position" || low * high >= 0 || Math.min(-low, high) < 0.1 * Math.max(-low, high)) return paintNumbers(column);
  const most = Math.max(-low, high);
  return paintNumbers(column, blueToRed, [-most, most]);
}

let painting = null;

function recolour() {
  const column = columns.get(byId("colour").value);
  painting = column ? paintColumn(column) : null;
  byId("colour-bar").innerHTML = painting?.bar ?? "";
  byId("colours-note").textContent = column
    ? `${explained(column)} Colours run over the middle 96 % of the values; what lies beyond has the ends' colours, and what is not known is grey.`
    : "";
  showFacts();
  redraw();
}

function drawColumns() {
  const canvas = byId("field");
  const frame = framing(canvas);
  const paint = beginPicture(canvas, frame, field.pictures.get(byId("under").value)?.canvas);
  const how = byId("shape").value;
  const radius = columnRadius(frame);
  for (let i = 0; i < atomCount && how !== "nothing"; i += 1) {
    const at = frame.place(...columnPlace(i));
    if (isInSight(at, frame)) drawColumn(paint, at, how === "discs" ? 0.8 * radius : radius, how, cssOf(painting?.colours[i] ?? unknownColour));
  }
  if (byId("others")?.checked) markRejected(paint, frame);
  if (byId("defects")?.checked) markDefects(paint, frame);
  ringSelected(paint, frame);
  scaleBar(paint, frame);
}

function drawColumn(paint, at, radius, how, colour) {
  // A light edge, so that no mark is lost in what is as dark as it is.
  const edge = "rgba(255, 255, 255, 0.7)";
  if (how === "rings") {
    const width = Math.max(0.35 * radius, 1.4);
    ring(paint, at, radius, edge, width + 1.4);
    return ring(paint, at, radius, colour, width);
  }
  paint.beginPath();
  paint.arc(...at, radius, 0, 2 * Math.PI);
  paint.fillStyle = colour;
  paint.fill();
  if (radius > 2.5) ring(paint, at, radius, edge, 0.8);
}

function markRejected(paint, frame) {
  const [xs, ys] = ["x", "y"].map((name) => report.rejected.find((column) => column.name === name).values);
  xs.forEach((x, i) => {
    const [u, v] = frame.place(x, ys[i]);
    for (const [colour, width] of [["#fff", 3.6], [markColours.chosen, 1.8]]) {
      paint.strokeStyle = colour;
      paint.lineWidth = width;
      paint.beginPath();
      paint.moveTo(u - 4, v - 4);
      paint.lineTo(u + 4, v + 4);
      paint.moveTo(u - 4, v + 4);
      paint.lineTo(u + 4, v - 4);
      paint.stroke();
    }
  });
}

function redraw() {
  drawColumns();
  drawMicrographs();
}

const auxiliary = /^id$|_esd$|_low$|_high$|_68$|^u\d\d$|^[hk]$|_covariance$|^cell_|^p_\d+$|^(evidence|false|sublattice|count_expected|height_expected|set_size)$/;

// A value with what is known of its error: its standard uncertainty, or from where to where it may be.
function valueWords(column, index) {
  const value = column.values[index];
  if (!column.numeric) return value;
  const esd = columns.get(`${column.name}_esd`)?.values[index];
  const [low, high] = ["low", "high"].map((end) => columns.get(`${column.name}_${end}`)?.values[index] ?? null);
  const said = esd > 0 ? `${asFarAsKnown(value, esd)} ± ${asFarAsKnown(esd, esd)}` : brief(value);
  return `${said}${low !== null && high !== null ? ` (${brief(low)} to ${brief(high)})` : ""}${column.unit ? ` ${column.unit}` : ""}`;
}

// What is known of a column: its row, in words.
function factsOf(index) {
  const coloured = byId("colour").value;
  const told = report.columns.filter(({ name, values }) => (!auxiliary.test(name) || name === coloured) && values[index] !== null && values[index] !== "");
  return told.map((column) => [column.label, valueWords(column, index)]);
}

function nameOf(index) {
  return `Column ${columns.get("id").values[index]}`;
}

// The column nearest to a place of a picture, if it is near.
function columnAt(canvas, x, y) {
  const frame = framing(canvas);
  let [nearest, least] = [null, Math.max(columnRadius(frame), 9)];
  for (let i = 0; i < atomCount; i += 1) {
    const [u, v] = frame.place(...columnPlace(i));
    const away = Math.hypot(u - x, v - y);
    if (away < least) [nearest, least] = [i, away];
  }
  return nearest;
}

// What a page tells of a column besides its row: functions of its index that make elements.
const besideFacts = [];

// The row of a column beside the picture: the one that is pointed at, else the one that is selected.
function showFacts(index = selection.index) {
  if (index === null) return nothing(byId("facts"), atomCount ? "No column is selected." : "There are no columns.");
  byId("facts").replaceChildren(element("h3", { textContent: nameOf(index) }), ...besideFacts.map((make) => make(index)), factTable(null, factsOf(index)));
}

// Zoom so that a place of a picture stays where it is; at most until a pixel is as large as a thumb.
function zoomBy(factor, canvas, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const before = framing(canvas);
  const at = [(x - before.left) / before.scale, (y - before.top) / before.scale];
  field.zoom = Math.min(Math.max(field.zoom * factor, 1), Math.max(field.across, field.rows) / 8);
  const { scale } = framing(canvas);
  moveTo([at[0] - (x - canvas.clientWidth / 2) / scale, at[1] - (y - canvas.clientHeight / 2) / scale]);
}

// Show what is around a place; the whole image stays where it is.
function moveTo(middle) {
  const half = 0.5 / field.zoom;
  field.middle = middle.map((value, k) => {
    const size = [field.across, field.rows][k];
    return Math.min(Math.max(value, half * size), (1 - half) * size);
  });
  // A finger moves what is shown only where there is more of it; else the page.
  for (const canvas of [byId("field"), ...field.canvases.map((one) => one.canvas)]) canvas.style.touchAction = field.zoom > 1 ? "none" : "";
  redraw();
}

// Dragging moves, a click selects.
function followField(canvas) {
  let from = null;
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    from = [event.offsetX, event.offsetY];
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return event.pointerType === "mouse" ? showFacts(columnAt(canvas, event.offsetX, event.offsetY) ?? undefined) : undefined;
    const [dx, dy] = [event.offsetX - from[0], event.offsetY - from[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    from = [event.offsetX, event.offsetY];
    const { scale } = framing(canvas);
    if (field.zoom > 1 && moved > 3) moveTo([field.middle[0] - dx / scale, field.middle[1] - dy / scale]);
  });
  canvas.addEventListener("pointerup", (event) => {
    const index = from && moved < 4 ? columnAt(canvas, event.offsetX, event.offsetY) : null;
    if (index !== null) selection.set(index, "picture");
    from = null;
  });
  canvas.addEventListener("pointercancel", () => (from = null));
  canvas.addEventListener("pointerleave", () => showFacts());
}

function columnsPanel(...wanted) {
  const canvas = byId("field");
  offerColumns(byId("colour"), ...wanted);
  addColumns(byId("colour"), report.columns.filter((column) => !column.numeric && tellsKinds(column)).map(({ name }) => name));
  byId("colour").onchange = recolour;
  for (const id of ["shape", "under", "others", "defects"]) if (byId(id)) byId(id).onchange = redraw;
  byId("closer").onclick = () => zoomBy(1.5, canvas);
  byId("farther").onclick = () => zoomBy(1 / 1.5, canvas);
  byId("whole").onclick = () => zoomBy(1 / field.zoom, canvas);
  followField(canvas);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * 0.0015), canvas, event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 30 / framing(canvas).scale;
    const steps = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (event.key === "+" || event.key === "-") zoomBy(event.key === "+" ? 1.2 : 1 / 1.2, canvas);
    if (!steps || field.zoom === 1) return;
    moveTo(field.middle.map((value, k) => value + steps[k]));
    event.preventDefault();
  });
  selection.listeners.push(showSelected);
  window.addEventListener("resize", redraw);
  theme.drawings.push(redraw);
  recolour();
}

// What is selected elsewhere comes into sight.
function showSelected(index, source) {
  showFacts();
  byId("shown").textContent = index === null ? "" : `${nameOf(index)} is selected.`;
  const frame = framing(byId("field"));
  if (index !== null && source !== "picture") {
    const at = frame.place(...columnPlace(index));
    if (!isInSight(at, frame, 0)) return moveTo(at.map((value, k) => (value - [frame.left, frame.top][k]) / frame.scale));
  }
  redraw();
}

function numbersPanel() {
  const known = report.numbers.filter(({ value }) => value !== null);
  byId("image-numbers").append(
    factTable(["", "value", "unit"], known.map(({ name, value, esd, unit }) => [name, esd > 0 ? `${asFarAsKnown(value, esd)} ± ${asFarAsKnown(esd, esd)}` : value, unit])),
  );
  byId("noise-words").textContent = report.noise;
  byId("cautions").append(...report.cautions.map((textContent) => element("li", { textContent })));
}
