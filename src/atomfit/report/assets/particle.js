// The particle's colours, and how it follows the pointer.

function describeSelected() {
  if (selection.index === null) return "";
  const column = columns.get(byId("colour").value);
  const value = brief(column?.values[selection.index] ?? null);
  const words = value ? `: ${column.label} ${value}${column.unit ? ` ${column.unit}` : ""}` : "";
  return `${nameOf(selection.index)} is selected${words}.`;
}

function recolour() {
  const column = columns.get(byId("colour").value);
  const painted = column && (column.numeric ? paintNumbers(column) : paintKinds(column));
  scene.colours = painted?.colours ?? new Array(atomCount).fill(unknownColour);
  byId("colour-bar").innerHTML = painted?.bar ?? "";
  redraw();
}

// The foremost atom at a place of the picture.
function atomAt(x, y) {
  return scene.drawn.findLast((atom) => {
    const [a, b, d] = atom.root;
    const determinant = a * d - b * b;
    const [dx, dy] = [x - atom.x, y - atom.y];
    return Math.hypot((d * dx - b * dy) / determinant, (a * dy - b * dx) / determinant) <= 1;
  });
}

function rotateBy(right, down) {
  // What lies in a plane is seen from above.
  if (report.course?.flat) return;
  scene.rotation = times(times(turn("x", down), turn("y", right)), scene.rotation);
  redraw();
}

function followPointer(canvas) {
  let from = null;
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    from = [event.offsetX, event.offsetY];
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [dx, dy] = [event.offsetX - from[0], event.offsetY - from[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    from = [event.offsetX, event.offsetY];
    rotateBy(dx * 0.008, dy * 0.008);
  });
  canvas.addEventListener("pointerup", (event) => {
    const atom = moved < 4 ? atomAt(event.offsetX, event.offsetY) : null;
    if (from && atom) selection.set(atom.index, "particle");
    from = null;
  });
  canvas.addEventListener("pointercancel", () => (from = null));
}

function particlePanel(...wanted) {
  prepareScene();
  const { canvas } = scene;
  const kinds = report.columns.filter((column) => !column.numeric && tellsKinds(column)).map(({ name }) => name);
  offerColumns(byId("colour"), ...wanted);
  addColumns(byId("colour"), kinds);
  if (kinds.includes(wanted[0])) byId("colour").value = wanted[0];
  byId("colour").onchange = recolour;
  for (const control of document.querySelectorAll("[data-drawing]")) control.onchange = redraw;
  byId("cut-at").oninput = redraw;
  byId("cut").onchange = () => {
    byId("cut-at").disabled = !byId("cut").value;
    redraw();
  };
  for (const button of document.querySelectorAll("[data-view]")) {
    button.onclick = () => {
      scene.rotation = viewsAlong[button.dataset.view];
      redraw();
    };
  }
  followPointer(canvas);
  const zoomBy = (factor) => {
    scene.zoom = Math.min(Math.max(scene.zoom * factor, 0.3), 20);
    redraw();
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (steps) rotateBy(...steps);
    if (event.key === "+" || event.key === "-") zoomBy(event.key === "+" ? 1.2 : 1 / 1.2);
    if (steps) event.preventDefault();
  });
  window.addEventListener("resize", redraw);
  selection.listeners.push(redraw);
  recolour();
}
