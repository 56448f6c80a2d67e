// The particle from a direction: which balls are seen, where, and from back to front. A direction of view is a
// rotation matrix. Each page tells what its balls are (`ballsOfPage`), how each looks (`shapeOf`: a radius or the axes
// of an ellipsoid, nothing if it is not to be seen, and perhaps an arrow), and what a row is called (`nameOf`).

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
  const balls = ballsOfPage();
  if (!balls.length) return;
  scene.centre = [0, 1, 2].map((k) => mean(endsOf(balls.map((ball) => ball.place[k]))));
  scene.atoms = balls.map((ball) => ({ ...ball, place: ball.place.map((value, k) => value - scene.centre[k]) }));
  for (const { place } of scene.atoms) scene.extent = Math.max(scene.extent, Math.hypot(...place) + 2 * report.radius);
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

function outline({ radius, axes, arrow }, scale) {
  const pointing = arrow && onScreen(arrow, scale);
  if (!axes) return { root: [radius * scale, 0, radius * scale], axes: null, arrow: pointing };
  const seen = axes.map((axis) => onScreen(axis, scale));
  const sum = (i, j) => seen.reduce((total, axis) => total + axis[i] * axis[j], 0);
  return { root: rootOf(sum(0, 0), sum(0, 1), sum(1, 1)), axes: seen, arrow: pointing };
}

// A vector in pixels: right, down and towards you.
function onScreen(vector, scale) {
  const [x, y, z] = seenFrom(vector);
  return [x * scale, -y * scale, z * scale];
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
    .map((atom) => ({ atom, seen: seenFrom(atom.place), shape: shapeOf(atom) }))
    .filter(({ atom, seen, shape }) => shape && cut.keeps(atom.place, seen))
    .sort((a, b) => a.seen[2] - b.seen[2])
    .map(({ atom, seen, shape }) => ({
      index: atom.index,
      x: width / 2 + scale * seen[0],
      y: height / 2 - scale * seen[1],
      fog: Math.round((fogSteps - 1) * Math.min(Math.max(0.5 - (0.5 * seen[2]) / scene.extent, 0), 1)),
      ...outline(shape, scale),
    }));
  for (const atom of scene.drawn) drawAtom(paint, atom, ratio);
  const chosen = scene.drawn.find((atom) => atom.index === selection.index);
  if (chosen) drawRing(paint, chosen, ratio);
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawAxes(paint, height);
  drawScaleBar(paint, width, height, scale);
  const rows = new Set(scene.drawn.map(({ index }) => index)).size;
  const said = [`${brief(rows)} of ${brief(atomCount)} ${things} shown`, cut.words].filter(Boolean);
  byId("shown").textContent = `${said.join(": ")}. ${describeSelected()}`;
}

// Which way the map's axes point.
function drawAxes(paint, height) {
  paint.font = "12px system-ui, sans-serif";
  ["x", "y", "z"].forEach((name, k) => {
    const [dx, dy] = [34 * scene.rotation[0][k], -34 * scene.rotation[1][k]];
    // One that points at the reader has no end to be named at.
    if (Math.hypot(dx, dy) < 8) return;
    paint.strokeStyle = paint.fillStyle = theme.ink;
    paint.lineWidth = 1.4;
    paint.beginPath();
    paint.moveTo(52, height - 52);
    paint.lineTo(52 + dx, height - 52 + dy);
    paint.stroke();
    paint.fillText(name, 49 + 1.28 * dx, height - 48 + 1.28 * dy);
  });
}

function drawScaleBar(paint, width, height, scale) {
  const length = [1, 2, 5, 10, 20, 50, 100].findLast((one) => one * scale < Math.min(160, 0.4 * width)) ?? 1;
  const end = width - 20;
  paint.fillStyle = theme.ink;
  paint.fillRect(end - length * scale, height - 22, length * scale, 3);
  paint.textAlign = "center";
  paint.fillText(`${length} Å`, end - (length * scale) / 2, height - 28);
  paint.textAlign = "start";
}

theme.drawings.push(() => {
  sprites.clear();
  drawScene();
});

// Once a frame at most.
function redraw() {
  if (scene.waiting) return;
  scene.waiting = true;
  requestAnimationFrame(drawScene);
}
