// Pictures made of bytes: their pixels, their place in a canvas with rulers around it, and marks of atoms.

// Pictures are as light in the dark, and so are the marks in them.
const markColours = { atom: "#009e73", seen: "#e69f00", other: "#8a949d", chosen: "#d55e00" };

function bytesOf(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}

// Shades of a picture, from its PNG: each level is one byte.
async function shadesOfPicture({ png }) {
  const picture = new Image();
  picture.src = `data:image/png;base64,${png}`;
  await picture.decode();
  const canvas = element("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  paint.drawImage(picture, 0, 0);
  const { data } = paint.getImageData(0, 0, canvas.width, canvas.height);
  return Uint8Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
}

function paletteOf(scale, steps) {
  return Array.from({ length: steps }, (_, i) => [...colourAt(scale, i / (steps - 1)), 255]);
}

// A canvas of one pixel each, coloured by a function of column and row.
function painted(width, height, colourOf) {
  const image = new ImageData(width, height);
  for (let v = 0; v < height; v += 1) {
    for (let u = 0; u < width; u += 1) image.data.set(colourOf(u, v), 4 * (v * width + u));
  }
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// What to paint with on a canvas of a frame's size, with the picture already in its place.
function begunWith(picture, canvas, frame) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(frame.width * ratio);
  canvas.height = Math.round(frame.height * ratio);
  const paint = canvas.getContext("2d");
  paint.scale(ratio, ratio);
  paint.imageSmoothingEnabled = false;
  paint.drawImage(picture, frame.left, frame.top, frame.w, frame.h);
  return paint;
}

function markAtom(paint, x, y, colour, radius = 3.5) {
  const chosen = colour === markColours.chosen;
  paint.beginPath();
  paint.arc(x, y, chosen ? 6 : radius, 0, 2 * Math.PI);
  paint.strokeStyle = colour;
  paint.lineWidth = chosen ? 2 : 1.3;
  paint.stroke();
}

// A ruler has a label, its ends, and a function that places values.
function drawRulers(paint, { left, top, w, h }, across, up) {
  paint.strokeStyle = theme.frame;
  paint.fillStyle = theme.ink;
  paint.lineWidth = 1;
  paint.font = "11px system-ui, sans-serif";
  paint.strokeRect(left, top, w, h);
  paint.textAlign = "center";
  for (const value of ticksThatFit(...across.ends, 4, w)) {
    paint.fillRect(across.place(value), top + h, 1, 4);
    paint.fillText(brief(value), across.place(value), top + h + 16);
  }
  paint.fillText(across.label, left + w / 2, top + h + 32);
  paint.textAlign = "right";
  for (const value of ticksOf(...up.ends, 4)) {
    paint.fillRect(left - 4, up.place(value), 4, 1);
    paint.fillText(brief(value), left - 7, up.place(value) + 4);
  }
  paint.save();
  paint.translate(12, top + h / 2);
  paint.rotate(-Math.PI / 2);
  paint.textAlign = "center";
  paint.fillText(up.label, 0, 0);
  paint.restore();
}

// A picture with its title, which stands above it where pictures stand below each other.
function titledPicture(title, canvas) {
  return element("figure", {}, element("h4", { textContent: title }), canvas);
}

// A row of titles, each above the bar of its colours.
function pictureHeads(pictures, unit) {
  const heads = pictures.map(({ title, scale, range }) => {
    const bar = element("div");
    bar.innerHTML = colourBar(scale, range, unit);
    return element("div", {}, element("h4", { textContent: title }), bar);
  });
  return element("div", { className: "plane heads" }, ...heads);
}
