// Numbers that were packed into text (`report.packed`).

function unpacked({ kind, low, step, data }) {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  if (kind === "i1") return new Int8Array(bytes.buffer);
  const view = new DataView(bytes.buffer);
  if (kind === "f4") return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const whole = view.getInt16(2 * i, true);
    return whole === -32768 ? NaN : low + (whole + 32767) * step;
  });
}
