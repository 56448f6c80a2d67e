// The particle: atoms as shaded ellipses, drawn from back to front, seen from far away.
//
// A direction of view is a rotation matrix. What an ellipsoid with semi-axes a, b, c looks like is the ellipse
// with the matrix S = Σ a aᵀ of their parts in the picture's plane; the square root of S turns the picture of a
// shaded ball into it.

const spriteSize = 96;
const colourSteps = 64;
const fogSteps = 6;

// Pictures of a ball in every colour, and paler with depth, made when first needed.
const sprites = new Map();

function sprite(colour, fog) {
  const key = `${colour},${fog}`;
  if (!sprites.has(key)) sprites.set(key, paintBall(colour, (0.5 * fog) / (fogSteps - 1)));
  return sprites.get(key);
}

function paintBall(colour, pale) {
  const [canvas, r] = [element("canvas", { width: spriteSize, height: spriteSize }), spriteSize / 2];
  const paint = canvas.getContext("2d");
  const shade = (light) => {
    const lit = colour.map((value) => (light > 1 ? value + (255 - value) * (light - 1) : value * light));
    return cssOf(lit.map((value) => Math.round(value + (255 - value) * pale)));
  };
  const gradient = paint.createRadialGradient(r * 0.65, r * 0.6, r * 0.05, r * 0.9, r * 0.9, r * 1.15);
  for (const [at, light] of [[0, 1.6], [0.25, 1.2], [0.6, 0.95], [1, 0.55]]) gradient.addColorStop(at, shade(light));
  paint.fillStyle = gradient;
  paint.beginPath();
  paint.arc(r, r, r - 1.5, 0, 2 * Math.PI);
  paint.fill();
  paint.lineWidth = 1.5;
  paint.strokeStyle = shade(0.4);
  paint.stroke();
  return canvas;
}

function times(a, b) {
  return [0, 1, 2].map((i) => [0, 1, 2].map((j) => a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j]));
}

function turn(axis, angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return axis === "x" ? [[1, 0, 0], [0, c, -s], [0, s, c]] : [[c, 0, s], [0, 1, 0], [-s, 0, c]];
}

// Looking down an axis, with the next one to the right.
const viewsAlong = {
  x: [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
  y: [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
  z: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
};

const scene = {
  canvas: byId("view"),
  rotation: times(turn("x", 0.45), turn("y", -0.5)),
  zoom: 1,
  atoms: [],
  drawn: [],
  centre: [0, 0, 0],
  extent: 1,
  colours: [],
  waiting: false,
};

function prepareScene() {
  const at = ["x", "y", "z"].map((name) => columns.get(name).values);
  if (!atomCount) return;
  scene.centre = at.map((values) => mean(endsOf(values)));
  for (let i = 0; i < atomCount; i += 1) {
    const place = at.map((values, k) => values[i] - scene.centre[k]);
    const axes = [0, 3, 6].map((from) => report.ellipsoids[i].slice(from, from + 3));
    scene.atoms.push({ index: i, place, axes: axes[0][0] === null ? null : axes });
    scene.extent = Math.max(scene.extent, Math.hypot(...place) + 2 * report.radius);
  }
}

// Where the cut is: a function that tells whether an atom is kept, and words that say so.
function cutPlane() {
  const across = byId("cut").value;
  const part = byId("cut-at").value / 1000;
  if (!across) return { keeps: () => true, words: "" };
  if (across === "view") {
    const depth = (2 * part - 1) * scene.extent;
    return { keeps: (_, seen) => seen[2] <= depth, words: `up to ${brief(depth, 3)} Å from the centre towards you` };
  }
  const k = "xyz".indexOf(across);
  const values = scene.atoms.map((atom) => atom.place[k]);
  const [low, high] = endsOf(values);
  const at = low - 0.1 + part * (high - low + 0.2);
  return { keeps: (place) => place[k] <= at, words: `${across} ≤ ${brief(at + scene.centre[k], 4)} Å` };
}

function seenFrom(vector) {
  return scene.rotation.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]);
}

// Square root of a symmetric 2 x 2 matrix.
function rootOf(xx, xy, yy) {
  const root = Math.sqrt(Math.max(xx * yy - xy * xy, 0));
  const scale = Math.sqrt(xx + yy + 2 * root) || 1;
  return [(xx + root) / scale, xy / scale, (yy + root) / scale];
}

function outline(atom, scale) {
  const round = byId("shape").value === "spheres";
  if (round || !atom.axes) {
    const r = (round ? report.radius : 0.25 * report.radius) * scale;
    return { root: [r, 0, r], axes: null };
  }
  const axes = atom.axes.map((axis) => {
    const [x, y, z] = seenFrom(axis);
    return [x * scale, -y * scale, z * scale];
  });
  const sum = (i, j) => axes.reduce((total, axis) => total + axis[i] * axis[j], 0);
  return { root: rootOf(sum(0, 0), sum(0, 1), sum(1, 1)), axes };
}

function drawScene() {
  scene.waiting = false;
  const { canvas } = scene;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const paint = canvas.getContext("2d");
  const scale = (0.46 * Math.min(width, height) * scene.zoom) / scene.extent;
  const cut = cutPlane();
  scene.drawn = scene.atoms
    .map((atom) => ({ atom, seen: seenFrom(atom.place) }))
    .filter(({ atom, seen }) => cut.keeps(atom.place, seen))
    .sort((a, b) => a.seen[2] - b.seen[2])
    .map(({ atom, seen }) => ({
      index: atom.index,
      x: width / 2 + scale * seen[0],
      y: height / 2 - scale * seen[1],
      fog: Math.round((fogSteps - 1) * Math.min(Math.max(0.5 - (0.5 * seen[2]) / scene.extent, 0), 1)),
      ...outline(atom, scale),
    }));
  for (const atom of scene.drawn) drawAtom(paint, atom, ratio);
  const chosen = scene.drawn.find((atom) => atom.index === selection.index);
  if (chosen) drawRing(paint, chosen, ratio);
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawAxes(paint, height);
  drawScaleBar(paint, width, height, scale);
  const said = [`${brief(scene.drawn.length)} of ${brief(atomCount)} atoms shown`, cut.words].filter(Boolean);
  byId("shown").textContent = `${said.join(": ")}. ${describeSelected()}`;
}

function drawAtom(paint, atom, ratio) {
  const [a, b, d] = atom.root;
  paint.setTransform(ratio * a, ratio * b, ratio * b, ratio * d, ratio * atom.x, ratio * atom.y);
  paint.drawImage(sprite(scene.colours[atom.index], atom.fog), -1, -1, 2, 2);
  if (atom.axes && a > 5) drawEquators(paint, atom, ratio);
}

// The front halves of the three principal ellipses.
function drawEquators(paint, { x, y, axes }, ratio) {
  paint.beginPath();
  for (const [first, second] of [[0, 1], [1, 2], [2, 0]]) {
    const [p, q] = [axes[first], axes[second]];
    const towards = Math.atan2(q[2], p[2]);
    paint.setTransform(ratio * p[0], ratio * p[1], ratio * q[0], ratio * q[1], ratio * x, ratio * y);
    paint.moveTo(Math.cos(towards - Math.PI / 2), Math.sin(towards - Math.PI / 2));
    paint.arc(0, 0, 1, towards - Math.PI / 2, towards + Math.PI / 2);
  }
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.lineWidth = 0.8;
  paint.strokeStyle = "rgba(0,0,0,.45)";
  paint.stroke();
}

function drawRing(paint, { x, y, root: [a, b, d] }, ratio) {
  paint.beginPath();
  paint.setTransform(ratio * a, ratio * b, ratio * b, ratio * d, ratio * x, ratio * y);
  paint.arc(0, 0, 1.12, 0, 2 * Math.PI);
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.lineWidth = 3;
  paint.strokeStyle = "#d1442b";
  paint.stroke();
}

// Which way the map's axes point.
function drawAxes(paint, height) {
  paint.font = "12px system-ui, sans-serif";
  ["x", "y", "z"].forEach((name, k) => {
    const [dx, dy] = [34 * scene.rotation[0][k], -34 * scene.rotation[1][k]];
    paint.strokeStyle = paint.fillStyle = "#1d2329";
    paint.lineWidth = 1.4;
    paint.beginPath();
    paint.moveTo(52, height - 52);
    paint.lineTo(52 + dx, height - 52 + dy);
    paint.stroke();
    paint.fillText(name, 49 + 1.28 * dx, height - 48 + 1.28 * dy);
  });
}

function drawScaleBar(paint, width, height, scale) {
  const length = [1, 2, 5, 10, 20, 50, 100].findLast((one) => one * scale < 160) ?? 1;
  const end = width - 20;
  paint.fillRect(end - length * scale, height - 22, length * scale, 3);
  paint.textAlign = "center";
  paint.fillText(`${length} Å`, end - (length * scale) / 2, height - 28);
  paint.textAlign = "start";
}

function describeSelected() {
  if (selection.index === null) return "";
  const column = columns.get(byId("colour").value);
  const value = brief(column?.values[selection.index] ?? null);
  const words = value ? `: ${column.name} ${value}${column.unit ? ` ${column.unit}` : ""}` : "";
  return `Atom ${columns.get("id").values[selection.index]} is selected${words}.`;
}

function recolour() {
  const column = columns.get(byId("colour").value);
  if (!column) {
    scene.colours = new Array(atomCount).fill(unknownColour);
    return redraw();
  }
  const range = colourRange(column.values);
  const palette = Array.from({ length: colourSteps }, (_, i) => colourAt(viridis, i / (colourSteps - 1)));
  const step = (value) => Math.round(((value - range[0]) / (range[1] - range[0])) * (colourSteps - 1));
  scene.colours = column.values.map((value) =>
    value === null ? unknownColour : palette[Math.min(Math.max(step(value), 0), colourSteps - 1)],
  );
  byId("colour-bar").innerHTML = colourBar(viridis, range, labelOf(column));
  byId("colour-bar").title = "Values beyond the ends have the ends' colours; grey is not known";
  redraw();
}

// Once a frame at most.
function redraw() {
  if (scene.waiting) return;
  scene.waiting = true;
  requestAnimationFrame(drawScene);
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

function particlePanel() {
  prepareScene();
  const { canvas } = scene;
  offerColumns(byId("colour"), "u_iso", "cn");
  byId("colour").onchange = recolour;
  byId("shape").onchange = redraw;
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
