// An image of atomic columns: pictures of it that all show the same part, with marks and a scale bar.

const notFitted = [176, 190, 210, 255];
const angstromsInNanometre = 10;

// What is shown: the middle, in pixels of the pictures, and how many times as large as the whole.
const field = (() => {
  const [rows, across] = report.pictures.shape;
  return { rows, across, zoom: 1, middle: [across / 2, rows / 2], pictures: new Map(), canvases: [] };
})();

const pictureNames = { image: "Image", model: "Model", residual: "What is left (image less model)", background: "Background" };

// Those that there are.
function picturesThere() {
  return Object.entries(pictureNames).filter(([name]) => report.pictures[name]);
}

async function loadPictures() {
  for (const [name, title] of picturesThere()) {
    const told = report.pictures[name];
    const scale = name === "residual" ? blueToRed : inkToPaper;
    field.pictures.set(name, { name, title, scale, range: [told.low, told.high], shades: await shadesOfPicture(told) });
  }
  paintPictures();
}

// The pictures in colours; square roots make what is faint brighter.
function paintPictures() {
  for (const picture of field.pictures.values()) {
    const root = byId("faint")?.checked && picture.scale !== blueToRed;
    const colours = Array.from({ length: 255 }, (_, i) => [...colourAt(picture.scale, root ? Math.sqrt(i / 254) : i / 254), 255]);
    const palette = [...colours, notFitted];
    picture.canvas = painted(field.across, field.rows, (u, v) => palette[picture.shades[v * field.across + u]]);
  }
}

// How large a picture is on the page, and where a place of the image lies in it.
function framing(canvas) {
  const width = canvas.clientWidth;
  const height = Math.round(width * Math.min(Math.max(field.rows / field.across, 0.3), 1));
  const scale = field.zoom * Math.min(width / field.across, height / field.rows);
  const [left, top] = [width / 2 - field.middle[0] * scale, height / 2 - field.middle[1] * scale];
  const { pixel, first } = report.pictures;
  const place = (x, y) => [left + ((x - first[0]) / pixel) * scale, top + ((y - first[1]) / pixel) * scale];
  return { width, height, left, top, scale, perAngstrom: scale / pixel, place };
}

function beginPicture(canvas, frame, picture) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(frame.width * ratio);
  canvas.height = Math.round(frame.height * ratio);
  const paint = canvas.getContext("2d");
  paint.scale(ratio, ratio);
  // Larger pixels stay squares; smaller ones are averaged, or a lattice would have stripes.
  paint.imageSmoothingEnabled = frame.scale * ratio < 1.5;
  paint.imageSmoothingQuality = "high";
  if (picture) paint.drawImage(picture, frame.left, frame.top, field.across * frame.scale, field.rows * frame.scale);
  return paint;
}

// The longest round length of at most a third of the picture, in nm.
function scaleBar(paint, { width, height, perAngstrom }) {
  const most = (0.3 * width) / perAngstrom / angstromsInNanometre;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = power * [5, 2, 1].find((factor) => factor * power <= most);
  const size = length * angstromsInNanometre * perAngstrom;
  const [x, y] = [10, height - 14];
  paint.font = "600 12px system-ui, sans-serif";
  paint.textAlign = "center";
  const said = `${brief(length)} nm`;
  const plate = Math.max(size, paint.measureText(said).width) + 12;
  paint.fillStyle = "rgba(0, 0, 0, 0.6)";
  paint.fillRect(x - 6, y - 20, plate, 30);
  paint.fillStyle = "#fff";
  paint.fillRect(x + (plate - 12 - size) / 2, y, size, 4);
  paint.fillText(said, x - 6 + plate / 2, y - 6);
  return said;
}

function columnPlace(index) {
  return [columns.get("x").values[index], columns.get("y").values[index]];
}

// Of a column as it is drawn (pixels of the page).
function columnRadius(frame) {
  return Math.max(report.radius * frame.perAngstrom, 1.6);
}

function ring(paint, [x, y], radius, colour, width) {
  paint.beginPath();
  paint.arc(x, y, radius, 0, 2 * Math.PI);
  paint.strokeStyle = colour;
  paint.lineWidth = width;
  paint.stroke();
}

// The selected column, wherever it is shown.
function ringSelected(paint, frame) {
  if (selection.index === null) return;
  const radius = Math.max(columnRadius(frame) + 3, 6);
  const at = frame.place(...columnPlace(selection.index));
  ring(paint, at, radius, "#fff", 4);
  ring(paint, at, radius, markColours.chosen, 2.2);
}

function isInSight([x, y], { width, height }, margin = 20) {
  return x > -margin && y > -margin && x < width + margin && y < height + margin;
}

function drawMicrographs() {
  for (const { canvas, name } of field.canvases) {
    const frame = framing(canvas);
    const paint = beginPicture(canvas, frame, field.pictures.get(name).canvas);
    if (byId("marks").checked) {
      for (let i = 0; i < atomCount; i += 1) {
        const at = frame.place(...columnPlace(i));
        if (isInSight(at, frame)) ring(paint, at, columnRadius(frame), markColours.seen, 1);
      }
    }
    ringSelected(paint, frame);
    scaleBar(paint, frame);
  }
}

function barsOfPictures() {
  const [grey, left] = [field.pictures.get("image"), field.pictures.get("residual")];
  const greys = field.pictures.has("background") ? "Image, model and background" : "Image and model";
  const heads = [[greys, grey], ["What is left", left]].map(([title, { scale, range }]) => {
    const bar = element("div");
    const root = byId("faint").checked && scale !== blueToRed;
    const shown = root ? Array.from({ length: 33 }, (_, i) => colourAt(scale, Math.sqrt(i / 32))) : scale;
    bar.innerHTML = colourBar(shown, range, report.unit ?? "image units");
    return element("div", {}, element("h4", { textContent: title }), bar);
  });
  byId("image-bars").replaceChildren(...heads);
}

function micrographsPanel(redraw) {
  for (const [name, title] of picturesThere()) {
    const canvas = Object.assign(element("canvas"), { ariaLabel: title });
    field.canvases.push({ canvas, name });
    byId("image-pictures").append(titledPicture(title, canvas));
    followField(canvas);
  }
  const { factor, everywhere } = report.pictures;
  const said = ["Click a picture to select a column, drag to move, zoom with the buttons above."];
  said.push(factor > 1 ? `Squares are means of ${factor} × ${factor} pixels.` : "Squares are the image's own pixels.");
  if (!everywhere) said.push("Where no column is near, nothing was fitted (blue-grey).");
  byId("image-note").textContent = said.join(" ");
  byId("marks").onchange = redraw;
  byId("faint").onchange = () => {
    paintPictures();
    barsOfPictures();
    redraw();
  };
  barsOfPictures();
}
