// A photo on its way into the queue: turned upright, made small, hashed, with a thumbnail.

/** Long edge in pixels and quality, tried in turn until the photo is small enough. */
const STEPS = [[2048, 0.8], [2048, 0.7], [2048, 0.6], [2048, 0.45], [1600, 0.6], [1280, 0.5]];
const MAX_BYTES = 500000;
const THUMB_PX = 160;

const toBlob = (canvas, quality) => new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));

/** SHA-256, hex. */
export async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** An `img` and not `createImageBitmap`: on older phones only the former turns a photo as its camera says. */
async function decode(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
    return image;
  } catch (error) {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
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

/** The steps down; each long edge is drawn once. */
async function shrink(source, size) {
  let canvas = null;
  let long = 0;
  let blob = null;
  for (const [edge, quality] of STEPS) {
    if (edge !== long) [canvas, long] = [draw(canvas || source, canvas ? [canvas.width, canvas.height] : size, edge), edge];
    blob = await toBlob(canvas, quality);
    if (blob.size <= MAX_BYTES) break;
  }
  return { blob, thumb: await thumbnail(canvas, [canvas.width, canvas.height]) };
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
  const image = await decode(file);
  if (!image) return pack(file, null);
  const { blob, thumb } = await shrink(image, [image.naturalWidth, image.naturalHeight]);
  return pack(original ? file : blob, thumb);
}

/** The picture that stands in the viewfinder. */
export async function fromVideo(video) {
  const { blob, thumb } = await shrink(video, [video.videoWidth, video.videoHeight]);
  return pack(blob, thumb);
}
