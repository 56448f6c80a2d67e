// Everything of every time, and what is shown of it: numbers at one time are columns like those of a table, whose
// values change when the time does.

const course = report.course;
const [timeCount, axisCount] = [course.times.length, course.flat ? 2 : 3];
const everyPlace = unpacked(course.positions);
const everyState = unpacked(course.state);
const clock = { frame: 0, listeners: [], timer: null };

for (const one of course.quantities) {
  one.all = unpacked(one.values);
  one.errors = one.esds && unpacked(one.esds);
  one.values = new Array(atomCount).fill(null);
  one.numeric = true;
  one.decimals = null;
  one.range = colourRange(sampled(one.all));
  columns.set(one.name, one);
}
numericNames.unshift(...course.quantities.map(({ name }) => name));
// Words, at the time.
const states = { name: "state", group: "At the time shown", label: "what became of it", unit: "", meaning: "", numeric: false, decimals: null };
states.values = new Array(atomCount).fill(null);
columns.set("state", states);

// Known values, as many as tell their range.
function sampled(values) {
  const step = Math.max(Math.floor(values.length / 50_000), 1);
  const some = [];
  for (let i = 0; i < values.length; i += step) if (!Number.isNaN(values[i])) some.push(values[i]);
  return some;
}

// Where a thing is at a time; null if it is not.
function placeAt(frame, index) {
  const at = (frame * atomCount + index) * axisCount;
  if (Number.isNaN(everyPlace[at])) return null;
  return [everyPlace[at], everyPlace[at + 1], course.flat ? 0 : everyPlace[at + 2]];
}

// Where it is when it is first there.
function firstPlace(index) {
  for (let frame = 0; frame < timeCount; frame += 1) {
    const place = placeAt(frame, index);
    if (place) return place;
  }
  return null;
}

// The balls of all that is ever there, at the places that they have first.
function ballsOfPage() {
  return Array.from({ length: atomCount }, (_, index) => ({ index, place: firstPlace(index) })).filter(({ place }) => place);
}

function shapeOf({ gone }) {
  return gone ? null : { radius: report.radius };
}

function nameOf(index) {
  const symbol = course.symbols[index];
  const known = /^[A-Z]/.test(symbol) && symbol !== "X" ? ` (${symbol})` : "";
  const one = things.slice(0, -1);
  return `${one[0].toUpperCase()}${one.slice(1)} ${columns.get("id").values[index]}${known}`;
}

// All numbers and places at a time.
function readTime(frame) {
  for (const one of course.quantities) {
    for (let i = 0; i < atomCount; i += 1) {
      const value = one.all[frame * atomCount + i];
      one.values[i] = Number.isNaN(value) ? null : value;
    }
  }
  for (let i = 0; i < atomCount; i += 1) states.values[i] = course.states[everyState[frame * atomCount + i]] ?? null;
  for (const atom of scene.atoms) {
    const place = placeAt(frame, atom.index);
    atom.gone = !place;
    if (place) atom.place = place.map((value, k) => value - scene.centre[k]);
  }
}

function timeWords(frame) {
  const number = `${frame + 1} of ${timeCount}`;
  const time = course.unit ? `${brief(course.times[frame], 5)} ${course.unit}` : brief(course.times[frame], 5);
  return `${time} (${course.frames[frame]}, ${number})`;
}

function showTime(frame) {
  clock.frame = Math.min(Math.max(frame, 0), timeCount - 1);
  readTime(clock.frame);
  byId("time").value = clock.frame;
  byId("time").setAttribute("aria-valuetext", timeWords(clock.frame));
  byId("now").textContent = timeWords(clock.frame);
  recolour();
  for (const listener of clock.listeners) listener();
}

function play(on) {
  clearInterval(clock.timer);
  clock.timer = on ? setInterval(() => showTime(clock.frame + 1 < timeCount ? clock.frame + 1 : 0), 1000 / byId("speed").value) : null;
  byId("play").textContent = on ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", String(on));
}

function timeControls() {
  byId("time").max = timeCount - 1;
  byId("time").oninput = () => {
    play(false);
    showTime(Number(byId("time").value));
  };
  const step = (by) => {
    play(false);
    showTime(clock.frame + by);
  };
  byId("earlier").onclick = () => step(-1);
  byId("later").onclick = () => step(1);
  byId("play").onclick = () => play(!clock.timer);
  byId("speed").onchange = () => play(Boolean(clock.timer));
  // Where the keys mean nothing else.
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, button, canvas, .scroll, summary, a") || event.ctrlKey || event.altKey || event.metaKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (steps) step(steps);
    if (event.key === " ") play(!clock.timer);
    if (steps || event.key === " ") event.preventDefault();
  });
}
