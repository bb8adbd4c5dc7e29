// A photo on its way into the queue: turned upright, made small, hashed, with a thumbnail.

const EDGE_PX = 2048;
const MAX_BYTES = 500000;
/** By how many times 500 KB would be passed at the first step: long edge in pixels and quality that hold it. */
const STEPS = [[0.97, 2048, 0.8], [1.25, 2048, 0.68], [1.7, 2048, 0.5], [2.6, 1600, 0.5], [Infinity, 1280, 0.4]];
/** An estimate is made of so many stripes, together an eighth of the picture. */
const STRIPES = 4;
const SHARE = 8;
const THUMB_PX = 160;

const toBlob = (canvas, quality) => new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));

/** SHA-256, hex. */
export async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("");
}

/**
 * An `img` and not `createImageBitmap`: on older phones only the former turns a photo as its camera says. It is not
 * decoded here; drawing does that, and twice would cost half a second.
 */
function load(address) {
  return new Promise((done) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => done(null);
    image.src = address;
  });
}

function draw(source, [width, height], long) {
  const scale = Math.min(1, long / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** A square from the middle. */
async function thumbnail(source, [width, height]) {
  const side = Math.min(width, height);
  const canvas = document.createElement("canvas");
  canvas.width = THUMB_PX;
  canvas.height = THUMB_PX;
  const at = [(width - side) / 2, (height - side) / 2, side, side, 0, 0, THUMB_PX, THUMB_PX];
  canvas.getContext("2d").drawImage(source, ...at);
  return (await toBlob(canvas, 0.7)).arrayBuffer();
}

/** About how large the whole will be at the first step. */
async function estimate(whole) {
  const canvas = document.createElement("canvas");
  const high = Math.ceil(whole.height / (STRIPES * SHARE));
  [canvas.width, canvas.height] = [whole.width, high * STRIPES];
  const pen = canvas.getContext("2d");
  for (let n = 0; n < STRIPES; n += 1) {
    const from = Math.floor((whole.height / STRIPES) * (n + 0.5));
    pen.drawImage(whole, 0, from, whole.width, high, 0, n * high, whole.width, high);
  }
  return (await toBlob(canvas, STEPS[0][2])).size * SHARE;
}

/** Encoding is what takes the time: the step is chosen by an eighth of the picture, and most photos are encoded once. */
async function shrink(source, size) {
  const whole = draw(source, size, EDGE_PX);
  const pixels = [whole.width, whole.height];
  const over = (await estimate(whole)) / MAX_BYTES;
  let blob = null;
  for (const [most, edge, quality] of STEPS) {
    if (over > most) continue;
    blob = await toBlob(edge < EDGE_PX ? draw(whole, pixels, edge) : whole, quality);
    if (blob.size <= MAX_BYTES) break;
  }
  return { blob, thumb: await thumbnail(whole, pixels) };
}

async function pack(blob, thumb) {
  const bytes = await blob.arrayBuffer();
  return { bytes, thumb, sha256: await sha256(bytes), size: bytes.byteLength, type: blob.type || "application/octet-stream" };
}

/**
 * A file of the camera or the album: {bytes, sha256, size, type, thumb}. `original` keeps its bytes as they are. What this
 * browser cannot read (HEIC) is sent whole; the server seals it.
 */
export async function fromFile(file, original) {
  const address = URL.createObjectURL(file);
  try {
    const image = await load(address);
    if (!image) return await pack(file, null);
    const { blob, thumb } = await shrink(image, [image.naturalWidth, image.naturalHeight]);
    return await pack(original ? file : blob, thumb);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** The picture that stands in the viewfinder. */
export async function fromVideo(video) {
  const { blob, thumb } = await shrink(video, [video.videoWidth, video.videoHeight]);
  return pack(blob, thumb);
}
