/** Landscapes that a page draws: pictures that look like some, belong to nobody, and are the same each time. */

/** Runs in the page: a JPEG of hills below a sky, by a number, in base64. */
function draw({ seed, width, height }) {
  let state = seed * 2654435761;
  const random = () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const skies = [
    ["#1b2a4e", "#e8734a", "#ffd08a"], ["#2f6fb0", "#9fd0ee", "#f4f1e4"], ["#20184a", "#8e4585", "#f7a072"],
    ["#0f3443", "#34a0a4", "#d9ed92"], ["#3a4a63", "#a7b8c9", "#f2e9de"], ["#070b24", "#25336b", "#7a6bb0"],
  ];
  const [top, middle, bottom] = skies[seed % skies.length];
  const sky = context.createLinearGradient(0, 0, 0, height * 0.75);
  for (const [place, colour] of [[0, top], [0.65, middle], [1, bottom]]) sky.addColorStop(place, colour);
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);

  const [sunX, sunY, sunSize] = [width * (0.2 + random() * 0.6), height * (0.25 + random() * 0.25), height * (0.05 + random() * 0.06)];
  const glow = context.createRadialGradient(sunX, sunY, sunSize * 0.8, sunX, sunY, sunSize * 6);
  glow.addColorStop(0, "#fff7e0cc");
  glow.addColorStop(1, "#fff7e000");
  context.fillStyle = glow;
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#fff7e0";
  context.beginPath();
  context.arc(sunX, sunY, sunSize, 0, 2 * Math.PI);
  context.fill();

  const hills = 5;
  for (let hill = 0; hill < hills; hill++) {
    const depth = hill / (hills - 1);
    const base = height * (0.52 + depth * 0.36);
    const waves = Array.from({ length: 5 }, (_, octave) => {
      const length = width / (1.2 + octave * 1.9 + random());
      return { length, phase: random() * 9, size: (height * (0.11 - depth * 0.05)) / (octave + 1) };
    });
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x += 2) {
      const rise = waves.reduce((sum, { length, phase, size }) => sum + Math.sin((x / length) * 2 * Math.PI + phase) * size, 0);
      context.lineTo(x, base + rise * (hill % 2 ? 1 : 0.7));
    }
    context.lineTo(width, height);
    context.fillStyle = `color-mix(in oklab, ${top} ${Math.round(25 + depth * 70)}%, ${middle})`;
    context.fill();
  }
  const shade = context.createLinearGradient(0, height * 0.6, 0, height);
  shade.addColorStop(0, "#0000");
  shade.addColorStop(1, "#0006");
  context.fillStyle = shade;
  context.fillRect(0, 0, width, height);
  return canvas.toDataURL("image/jpeg", 0.86).split(",")[1];
}

/** The bytes of a landscape. */
export async function landscape(page, seed, { width = 1200, height = 800 } = {}) {
  return Buffer.from(await page.evaluate(draw, { seed, width, height }), "base64");
}
