// The balls of a built particle: its atoms, as thermal ellipsoids or as spheres.

function ballsOfPage() {
  const at = ["x", "y", "z"].map((name) => columns.get(name).values);
  return report.ellipsoids.map((numbers, index) => ({
    index,
    place: at.map((values) => values[index]),
    axes: numbers[0] === null ? null : [0, 3, 6].map((from) => numbers.slice(from, from + 3)),
  }));
}

function shapeOf({ axes }) {
  if (byId("shape").value === "spheres") return { radius: report.radius };
  return axes ? { axes } : { radius: 0.25 * report.radius };
}

function nameOf(index) {
  return `Atom ${columns.get("id").values[index]}`;
}
