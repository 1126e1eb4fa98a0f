/** Uploading and transforming in the admin site, as a person does it. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";

import { ADMIN, findings, openAdmin, signIn, uploadPicture } from "./support/admin.js";
import { file, fixture } from "./support/pictures.js";

const HOSTILE = `<img src=x onerror=alert(1)>"'.jpg`;
let lake;
let secret;
let shop;

before(async () => {
  lake = await uploadPicture("photo.jpg", "a lake to work on.jpg");
  secret = await uploadPicture("photo.jpg", "private.jpg", { require_signed_urls: true });
  const { buffer, mimeType } = fixture("graphic.png");
  shop = createServer((request, response) => {
    const isThere = request.url.endsWith(".png");
    response.writeHead(isThere ? 200 : 404, { "Content-Type": mimeType }).end(isThere ? buffer : "");
  });
  await new Promise((resolve) => shop.listen(0, "127.0.0.1", resolve));
  shop.unref();
});

const at = (path) => `http://127.0.0.1:${shop.address().port}/${path}`;

test("files are dropped, sent to Cloudflare and seen to appear", async (t) => {
  const page = await openAdmin(t);
  await signIn(page, { path: "upload/" });
  const direct = [];
  page.on("request", (request) => request.method() === "POST" && direct.push(request.url()));
  await page.getByText("Creator and metadata").click();
  await page.getByLabel("Creator").fill("studio");
  await page.getByLabel("Metadata, as a JSON object").fill('{"album": "lakes"}');
  await page.locator("cfimages-upload input[type=file][hidden]").setInputFiles([
    fixture("photo.jpg", "dropped.jpg"), fixture("graphic.png", HOSTILE.replace(".jpg", ".png")), file("no picture.txt", Buffer.from("no")),
  ]);
  await page.getByText("Ready to upload").nth(1).waitFor();
  await page.getByRole("button", { name: "Remove no picture.txt" }).click();
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.getByRole("heading", { name: "2 pictures were uploaded" }).waitFor();
  assert.ok(direct.some((url) => !url.startsWith(ADMIN)), "the files went there without passing the server");
  await page.locator("#outcome .badge", { hasText: "Uploaded" }).nth(1).waitFor();
  await page.getByRole("link", { name: "dropped.jpg" }).click();
  await page.getByText("asked for an upload URL").first().waitFor();
  await page.getByText("studio", { exact: true }).waitFor();
});

test("what is wrong with metadata is told before a file is sent", async (t) => {
  const page = await openAdmin(t);
  await signIn(page, { path: "upload/" });
  await page.getByText("Creator and metadata").click();
  await page.getByLabel("Metadata, as a JSON object").fill("[1]");
  await page.locator("cfimages-upload input[type=file][hidden]").setInputFiles([fixture("photo.jpg")]);
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.getByText("The metadata must be a JSON object").first().waitFor();
});

test("URLs are fetched with progress, and those of which nothing came stay", async (t) => {
  const page = await openAdmin(t);
  await signIn(page, { path: "upload/" });
  await page.getByText("From URLs").click();
  const urls = page.getByLabel("Where Cloudflare fetches pictures");
  await urls.fill([at("one.png"), at("nothing"), at("two.png")].join("\n"));
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.getByText("2 of 3 pictures fetched").waitFor();
  await page.getByText("could not fetch a picture").waitFor();
  assert.equal(await urls.inputValue(), at("nothing"));
  await urls.fill("");
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.getByRole("heading", { name: "2 pictures were uploaded" }).waitFor();
});

test("without scripts files and URLs go by the form", async (t) => {
  const page = await openAdmin(t, { javaScriptEnabled: false });
  await signIn(page, { path: "upload/" });
  await page.getByText("From URLs").click();
  await page.getByLabel("Where Cloudflare fetches pictures").fill([at("three.png"), at("nothing")].join("\n"));
  await page.getByLabel("Files").setInputFiles([fixture("photo.jpg", "by the form.jpg"), file("no.txt", Buffer.from("no"))]);
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.getByRole("heading", { name: "2 pictures were uploaded, 2 not" }).waitFor();
  await page.getByText("Upload a picture: a JPEG").waitFor();
  assert.equal(await page.getByLabel("Where Cloudflare fetches pictures").inputValue(), `${at("nothing")}\n`);
  await page.getByRole("link", { name: "by the form.jpg" }).click();
  await page.getByText("uploaded the picture").first().waitFor();
});

test("a picture changes with the options, and what leads to it is copied", async (t) => {
  const page = await openAdmin(t, { permissions: ["clipboard-read", "clipboard-write"] });
  await signIn(page, { path: `images/${lake.id}/` });
  await page.getByRole("link", { name: "Try transformations" }).click();
  await page.getByLabel("width", { exact: true }).fill("120");
  await page.waitForURL(/width=120/);
  await page.getByText("120 × 80 pixels.").waitFor();
  await page.getByLabel("height", { exact: true }).fill("60");
  await page.getByLabel("fit", { exact: true }).selectOption("cover");
  await page.getByText("120 × 60 pixels.").waitFor();
  await page.getByRole("button", { name: "Copy: Command line" }).click();
  await page.getByRole("status").getByText("Copied.").waitFor({ state: "attached" });
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^cfimages url build \S+ fit=cover height=60 width=120$/);
  await page.getByLabel("width", { exact: true }).fill("0");
  await page.locator("#problem-width").getByText("Must be a whole number from 1 to 12000, or auto.").waitFor();
  await page.getByRole("heading", { name: "There is no picture for that" }).waitFor();
  await page.getByLabel("width", { exact: true }).fill("50");
  await page.getByText("50 × 60 pixels.").waitFor();
  assert.equal(await page.locator(".problem:visible").count(), 0);
  assert.doesNotMatch(page.url(), /blur/, "what is not set is not in the address");
  await page.getByRole("link", { name: "thumbnail" }).click();
  await page.getByText("150 × 150 pixels.").waitFor();
});

test("without scripts the options are sent by a button, and private pictures come in variants", async (t) => {
  const page = await openAdmin(t, { javaScriptEnabled: false });
  await signIn(page, { path: `workbench/?image=${lake.id}` });
  await page.getByLabel("width", { exact: true }).fill("120");
  await page.getByRole("button", { name: "Show" }).click();
  await page.locator("pre", { hasText: "<img" }).first().waitFor();
  assert.match(await page.getByAltText("The picture as these options make it").getAttribute("src"), /width=120$/);
  await page.goto(`${ADMIN}workbench/?image=${secret.id}`);
  await page.getByText("options in a URL cannot be signed").waitFor();
  assert.match(await page.getByAltText("The picture as these options make it").getAttribute("src"), /sig=/);
});

const VIEWS = [
  ["upload", () => "upload/"],
  ["upload-outcome", () => `upload/?image=${lake.cloudflare_id}&image=${secret.cloudflare_id}`],
  ["workbench-choice", () => "workbench/"],
  ["workbench", () => `workbench/?image=${lake.id}&width=300&height=200&fit=cover&blur=3`],
  ["workbench-problems", () => `workbench/?image=${lake.id}&width=x&rotate=4&<script>=1`],
  ["workbench-private", () => `workbench/?image=${secret.id}`],
];

for (const width of [360, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing on the pages for uploads and transformations: ${width} pixels, ${colorScheme}`, async (t) => {
      const page = await openAdmin(t, { viewport: { width, height: 900 }, colorScheme });
      await signIn(page);
      for (const [name, path] of VIEWS) {
        await page.goto(ADMIN + path());
        await page.waitForLoadState("networkidle");
        assert.deepEqual(await findings(page), [], name);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, name);
        if (process.env.SCREENSHOTS) {
          mkdirSync(process.env.SCREENSHOTS, { recursive: true });
          await page.screenshot({ path: join(process.env.SCREENSHOTS, `admin-${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
      }
    });
  }
}
