// Atoms as shaded ellipses: pictures of a ball, and what turns them into an ellipsoid's.
//
// What an ellipsoid with semi-axes a, b, c looks like from far away is the ellipse with the matrix S = Σ a aᵀ of
// their parts in the picture's plane; the square root of S turns the picture of a shaded ball into it.

const spriteSize = 96;
const fogSteps = 6;
// Lines on the ellipsoids cost more than all else.
const mostWithEquators = 3000;

// Pictures of a ball in every colour, and paler with depth, made when first needed.
const sprites = new Map();

function sprite(colour, fog) {
  const key = `${colour},${fog}`;
  if (!sprites.has(key)) sprites.set(key, paintBall(colour, (0.5 * fog) / (fogSteps - 1)));
  return sprites.get(key);
}

function paintBall(colour, pale) {
  const far = rgbOf(theme.paper);
  const [canvas, r] = [element("canvas", { width: spriteSize, height: spriteSize }), spriteSize / 2];
  const paint = canvas.getContext("2d");
  const shade = (light) => {
    const lit = colour.map((value) => (light > 1 ? value + (255 - value) * (light - 1) : value * light));
    return cssOf(lit.map((value, i) => Math.round(value + (far[i] - value) * pale)));
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

// Square root of a symmetric 2 x 2 matrix.
function rootOf(xx, xy, yy) {
  const root = Math.sqrt(Math.max(xx * yy - xy * xy, 0));
  const scale = Math.sqrt(xx + yy + 2 * root) || 1;
  return [(xx + root) / scale, xy / scale, (yy + root) / scale];
}

function drawAtom(paint, atom, ratio) {
  const [a, b, d] = atom.root;
  paint.setTransform(ratio * a, ratio * b, ratio * b, ratio * d, ratio * atom.x, ratio * atom.y);
  paint.drawImage(sprite(scene.colours[atom.index], atom.fog), -1, -1, 2, 2);
  if (atom.axes && a > 5 && scene.drawn.length < mostWithEquators) drawEquators(paint, atom, ratio);
  if (atom.arrow) drawArrow(paint, atom, ratio);
}

// From the middle of a ball; its head is as long as there is room for.
function drawArrow(paint, { x, y, arrow: [dx, dy] }, ratio) {
  const length = Math.hypot(dx, dy);
  if (length < 1) return;
  const [ux, uy] = [dx / length, dy / length];
  const head = Math.min(7, 0.6 * length);
  paint.setTransform(ratio, 0, 0, ratio, ratio * x, ratio * y);
  paint.lineWidth = 1.5;
  paint.strokeStyle = paint.fillStyle = theme.ink;
  paint.beginPath();
  paint.moveTo(0, 0);
  paint.lineTo(dx - head * ux, dy - head * uy);
  paint.stroke();
  paint.beginPath();
  paint.moveTo(dx, dy);
  paint.lineTo(dx - head * ux - 0.4 * head * uy, dy - head * uy + 0.4 * head * ux);
  paint.lineTo(dx - head * ux + 0.4 * head * uy, dy - head * uy - 0.4 * head * ux);
  paint.fill();
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
  paint.strokeStyle = theme.mark;
  paint.stroke();
}
