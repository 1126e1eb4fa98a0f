/** Files to upload. */
import { randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

const FIXTURES = new URL("../../fixtures/images/", import.meta.url);
const TYPES = { jpg: "image/jpeg", png: "image/png", gif: "image/gif", webp: "image/webp", txt: "text/plain" };

/** A file with a name, whose ending says its type, as a browser has it. */
export function file(name, buffer) {
  return { name, mimeType: TYPES[name.split(".").pop()], buffer };
}

/** A file of `tests/fixtures/images`, under its own or another name. */
export function fixture(source, name = source) {
  return file(name, readFileSync(new URL(source, FIXTURES)));
}

/** A picture of noise, about 3 bytes a pixel. */
export function noise(name, side) {
  const rows = Buffer.alloc(side * (side * 3 + 1));
  randomFillSync(rows);
  for (let row = 0; row < side; row++) rows[row * (side * 3 + 1)] = 0;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const chunks = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows, { level: 1 })), chunk("IEND", Buffer.alloc(0))];
  return file(name, Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...chunks]));
}

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
