// The balls of two models: the atoms of A and of B, both at their places in A's frame.

function ballsOfPage() {
  const places = ["a", "b"].map((side) => ["x", "y", "z"].map((axis) => columns.get(`${axis}_${side}`).values));
  return columns.get("status").values.flatMap((status, index) => {
    const [a, b] = places.map((at) => at.map((values) => values[index]));
    const step = a[0] === null || b[0] === null ? null : b.map((value, k) => value - a[k]);
    const balls = [
      { index, status, side: "a", place: a, step },
      { index, status, side: "b", place: b, step: null },
    ];
    return balls.filter(({ place }) => place[0] !== null);
  });
}

function shapeOf({ side, status, step }) {
  const show = byId("show").value;
  if (show ? side !== show : side === "b" && status === "common") return null;
  const left = !show && side === "a" && status === "displaced";
  const many = Number(byId("arrows").value);
  const times = status === "displaced" ? Math.min(many, 1) : many > 1 ? many : 0;
  const arrow = step && times && !show ? step.map((value) => times * value) : null;
  // Small enough for arrows to be seen between them.
  return { radius: report.radius * (left ? 0.5 : 1) * (many > 1 && !show ? 0.6 : 1), arrow };
}

function nameOf(index) {
  const parts = ["a", "b"].map((side) => [columns.get(`id_${side}`).values[index], report.names[side]]);
  const known = parts.filter(([id]) => id !== null).map(([id, name]) => `${id} of ${name}`);
  return `Atom ${known.join(", ")} (${columns.get("status").values[index]})`;
}
