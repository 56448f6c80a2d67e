// Pictures made smoother, so that atoms are seen in images whose pixels are mostly noise.
//
// A Gaussian is drawn over the pixels that are known, along rows and then along columns; what is not known counts
// nowhere. Scales become narrower with the noise, again one for all pictures of a kind.

const smoothQuantiles = { measured: [0.005, 0.998], residual: 0.999 };

// Shades 0 to 254 with their numbers, 255 for what is not known, as numbers and as what is known of each (0 or 1).
function numbersOf({ levels, range: [low, high] }) {
  const known = Float32Array.from(levels, (level) => (level === 255 ? 0 : 1));
  return { known, values: Float32Array.from(levels, (level, i) => known[i] * (low + (level / 254) * (high - low))) };
}

function shadesOf(values, known, [low, high]) {
  const shade = (value) => Math.round(254 * Math.min(Math.max((value - low) / (high - low), 0), 1));
  return Uint8Array.from(values, (value, i) => (known[i] ? shade(value) : 255));
}

// One direction: neighbours are `stride` apart, and a line has `length` of them.
function blurredAlong(values, stride, length, sigma) {
  const reach = Math.ceil(3 * sigma);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)));
  return values.map((_, at) => {
    const place = Math.floor(at / stride) % length;
    const [from, to] = [Math.max(-place, -reach), Math.min(length - 1 - place, reach)];
    let sum = 0;
    for (let step = from; step <= to; step += 1) sum += weights[step + reach] * values[at + step * stride];
    return sum;
  });
}

// The values of all pictures of a kind, each blurred by a width in pixels.
function blurred({ values, known }, rows, columns, sigma) {
  const both = [values, known].map((numbers) => blurredAlong(blurredAlong(numbers, 1, columns, sigma), columns, rows, sigma));
  return both[0].map((sum, i) => (known[i] ? sum / both[1][i] : 0));
}

// Measured images, the model's and what is left, all of them blurred; the first two have one scale.
function smoothed([measured, model, residual], rows, columns, sigma) {
  const found = [measured, model, residual].map((picture) => {
    const numbers = numbersOf(picture);
    return { known: numbers.known, values: blurred(numbers, rows, columns, sigma) };
  });
  const those = ({ values, known }) => values.filter((_, i) => known[i]);
  const greys = smoothQuantiles.measured.map((part) => quantile(those(found[0]), part));
  const most = quantile(those(found[2]).map(Math.abs), smoothQuantiles.residual);
  const ranges = [greys, greys, [-most, most]];
  return [measured, model, residual].map((picture, i) => {
    return { ...picture, range: ranges[i], levels: shadesOf(found[i].values, found[i].known, ranges[i]) };
  });
}
