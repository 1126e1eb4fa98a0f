/** Makes the pictures of docs/images/, see screenshots.sh. */
import { execFileSync } from "node:child_process";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { CFIMAGES, askForUploadUrl, askServer, credentials, untilUploaded } from "./support/backend.js";
import { launch } from "./support/browser.js";
import { landscape } from "./support/landscapes.js";

const ADMIN = `${CFIMAGES}/admin/`;
const FOLDER = process.env.DOCS_IMAGES;
/** The most that all pictures may have together, in bytes. */
const MOST_BYTES = 1_500_000;
const QUALITY = 0.72;

/** The pages: name, path below the admin site (`{image}` is the key of an image), and what is done there before the picture is taken. */
const PAGES = [
  ["sign-in", "sign-in/", { isSignedOut: true }],
  ["dashboard", ""],
  ["gallery", "images/?view=gallery"],
  ["table", "images/?view=table"],
  ["image", "images/{image}/"],
  ["workbench", "workbench/?image={image}&width=900&height=500&fit=cover&saturation=1.3"],
  ["upload", "upload/", { act: chooseFiles }],
  ["logs", "logs/"],
  ["users", "users/"],
];
const SCREENS = [["desk", { width: 1280, height: 820 }], ["phone", { width: 390, height: 780 }]];
/** What the landscapes are called, in the order of their skies. */
const NAMES = [
  "Blue ridge", "Purple hills", "Green shore", "Morning fog", "Night over the valley", "Evening sun",
  "High noon", "Last light", "Moss and stone", "A grey day", "Clear night", "Lake at dusk",
  "The bay", "Violet hour", "After the rain", "Pale winter", "Northern sky", "Golden hour",
];

/** How many days ago the pictures were uploaded, the newest first. */
const DAYS_AGO = [0, 0, 1, 1, 1, 3, 4, 4, 6, 8, 8, 8, 11, 14, 17, 19, 22, 26];
/** Nobody uploads in the past: the database is told so. */
const MOVE_BACK = `
import json, sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=10) as database:
    newest = database.execute("SELECT id FROM cloudflare_images WHERE status = 'uploaded' ORDER BY created_at DESC").fetchall()
    for (id,), days in zip(newest, json.loads(sys.argv[2])):
        time = f"-{days} days"
        database.execute("UPDATE cloudflare_images SET created_at = datetime(created_at, ?), uploaded_at = datetime(uploaded_at, ?) WHERE id = ?", (time, time, id))
`;

const browser = await launch();
try {
  const painter = await browser.newPage();
  const image = await fill(painter);
  const database = join(dirname(process.env.CREDENTIALS), "cfimages.db");
  execFileSync("python3", ["-c", MOVE_BACK, database, JSON.stringify(DAYS_AGO)]);
  mkdirSync(FOLDER, { recursive: true });
  let bytes = 0;
  for (const [screen, viewport] of SCREENS) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport, colorScheme });
      const page = await context.newPage();
      for (const [name, path, { isSignedOut = false, act } = {}] of PAGES) {
        if (!isSignedOut) await signIn(page);
        await page.goto(ADMIN + path.replace("{image}", image));
        await act?.(page, painter);
        await page.waitForLoadState("networkidle");
        const file = join(FOLDER, `${name}-${screen}-${colorScheme}.webp`);
        writeFileSync(file, await asWebp(painter, await page.screenshot()));
        bytes += statSync(file).size;
      }
      await context.close();
    }
  }
  console.log(`The pictures in ${FOLDER} have ${bytes} bytes.`);
  if (bytes > MOST_BYTES) throw new Error(`More than ${MOST_BYTES} bytes: take fewer pages, or a lower quality.`);
} finally {
  await browser.close();
}

async function signIn(page) {
  if ((await page.context().cookies()).some(({ name }) => name === "cfimages_admin")) return;
  await page.goto(ADMIN);
  await page.getByLabel("User name").fill(credentials.username);
  await page.getByLabel("Password").fill(credentials.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Dashboard" }).waitFor();
}

/** Has landscapes uploaded, and asks for some more that never are; the key of the one that pages show. */
async function fill(painter) {
  let image;
  for (const [seed, name] of NAMES.entries()) {
    const file = new Blob([await landscape(painter, seed + 1)], { type: "image/jpeg" });
    const fields = { filename: `${name}.jpg`, creator: "studio", metadata: { album: "Landscapes", number: seed + 1 } };
    image = (seed % 4 === 0 ? await sendToCloudflare(file, fields) : await sendToServer(file, fields)).id;
  }
  for (const name of ["Still to come", "On its way"]) await askForUploadUrl(JSON.stringify({ filename: `${name}.jpg` }));
  for (const field of ["hero", "cover"]) {
    const { cloudflare_id } = await (await askServer(`/api/images/${image}/`)).json();
    const usage = JSON.stringify({ content_type: "shop.product", object_id: "42", field_name: field, cloudflare_id });
    const headers = { "Content-Type": "application/json" };
    const answer = await askServer("/api/usages/", { method: "PUT", headers, body: usage });
    if (!answer.ok) throw new Error(`the usage is answered with ${answer.status}`);
  }
  await askServer(`/api/images/${image}/check_status/`, { method: "POST" });
  return image;
}

/** As browsers do, so that there are webhooks. */
async function sendToCloudflare(file, fields) {
  const { upload_url: url, cloudflare_id: id } = JSON.parse((await askForUploadUrl(JSON.stringify(fields))).text);
  const form = new FormData();
  form.append("file", file, fields.filename);
  const answer = await fetch(url, { method: "POST", body: form });
  if (!answer.ok) throw new Error(`the emulator answers ${answer.status}`);
  return untilUploaded(id);
}

/** Through the server, which then knows type and size. */
async function sendToServer(file, { metadata, creator, filename }) {
  const form = new FormData();
  form.append("metadata", JSON.stringify(metadata));
  form.append("creator", creator);
  form.append("file", file, filename);
  const answer = await askServer("/api/images/upload/", { method: "POST", body: form });
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  return answer.json();
}

/** Some files on the upload page, ready to be sent. */
async function chooseFiles(page, painter) {
  const files = await Promise.all(
    [31, 32, 33].map(async (seed, at) => ({
      name: `${["Cliffs", "Dunes", "Estuary"][at]}.jpg`,
      mimeType: "image/jpeg",
      buffer: await landscape(painter, seed),
    })),
  );
  await page.locator("cfimages-upload input[type=file][hidden]").setInputFiles(files);
  await page.getByText("Ready to upload").nth(2).waitFor();
}

/** A picture as WebP, which has a fraction of the bytes. */
async function asWebp(page, png) {
  const base64 = await page.evaluate(
    async ([source, quality]) => {
      const picture = await createImageBitmap(await (await fetch(`data:image/png;base64,${source}`)).blob());
      const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0);
      return canvas.toDataURL("image/webp", quality).split(",")[1];
    },
    [png.toString("base64"), QUALITY],
  );
  return Buffer.from(base64, "base64");
}
