/** The page of the emulator, each test with an emulator of its own. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.js";
import { axeSource } from "./support/packages.js";
import { fixture } from "./support/pictures.js";

const TOKEN = "emulator-token";
const ACCOUNT = "0123456789abcdef0123456789abcdef";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

/** The address of a new emulator, which ends with the test. */
async function start(t) {
  const emulator = spawn(process.env.BINARY, ["emulator", "--memory", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => emulator.kill());
  for await (const line of createInterface({ input: emulator.stdout })) {
    const page = /^  Page +(\S+)$/.exec(line);
    if (page) return page[1];
  }
  throw new Error("the emulator does not start");
}

/** The page in a fresh context. Whatever its console says fails the test, unless it is expected. */
async function open(t, url, { expected = /^$/, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const said = [];
  page.on("console", (message) => expected.test(message.text()) || said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  t.after(async () => {
    await context.close();
    assert.deepEqual(said, []);
  });
  await page.goto(url);
  return Object.assign(page, { said });
}

/** What axe finds. It reads style sheets anew and tries styles of its own, of which the console has much to say. */
async function findProblems(page) {
  assert.deepEqual(page.said, []);
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => axe.run());
  page.said.length = 0;
  return violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
}

function call(url, path, request = {}) {
  const headers = { Authorization: `Bearer ${TOKEN}` };
  return fetch(`${url}client/v4/accounts/${ACCOUNT}/images/${path}`, { headers, ...request });
}

async function upload(url, { name, mimeType, buffer }, fields = {}) {
  const body = new FormData();
  for (const [field, value] of Object.entries(fields)) body.set(field, value);
  body.set("file", new Blob([buffer], { type: mimeType }), name);
  return (await call(url, "v1", { method: "POST", body })).json();
}

/** Everything that a page can show. */
async function fill(url) {
  const metadata = JSON.stringify({ album: "summer", place: { country: "NO" } });
  await upload(url, fixture("photo.jpg", "a lake at dusk, seen from the long wooden jetty.jpg"), { metadata, creator: "ada" });
  await upload(url, fixture("graphic.png"), { id: "team/portraits/ada" });
  await upload(url, fixture("animation.gif"));
  await upload(url, fixture("photo.webp"), { requireSignedURLs: "true" });
  await upload(url, fixture("not-an-image.jpg"));
  await call(url, "v2/direct_upload", { method: "POST" });
  await call(url, "v1/none", { method: "DELETE" });
  await call(url, "v2", { headers: {} });
}

/** Waits until all pictures are there. */
async function settle(page) {
  await page.waitForFunction(() => [...document.images].every((image) => image.complete && image.naturalWidth > 0));
}

for (const width of [360, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing, and nothing is too wide: ${width} pixels, ${colorScheme}`, async (t) => {
      const url = await start(t);
      const page = await open(t, url, { viewport: { width, height: 900 }, colorScheme });
      const check = async (name) => {
        await settle(page);
        assert.deepEqual(await findProblems(page), [], name);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, name);
        if (process.env.SCREENSHOTS) {
          mkdirSync(process.env.SCREENSHOTS, { recursive: true });
          await page.screenshot({ path: join(process.env.SCREENSHOTS, `emulator-${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
      };
      await page.getByText("Nothing is stored yet.").waitFor();
      await check("empty");
      await fill(url);
      await page.reload();
      await check("full");
      await page.getByRole("link", { name: /jetty/ }).click();
      await page.getByRole("heading", { name: "Variants" }).waitFor();
      await check("image");
      await page.goto(url);
      await page.locator("#drafts").getByRole("link").click();
      await page.getByRole("heading", { name: "Upload URL" }).waitFor();
      await check("draft");
    });
  }
}

test("pictures are uploaded through the page, and what is wrong with others is said", async (t) => {
  const url = await start(t);
  const page = await open(t, url, { expected: /^Failed to load resource: .* 400/ });
  await page.getByLabel("Private").check();
  await page.getByLabel("Choose a picture").setInputFiles([fixture("photo.jpg"), fixture("not-an-image.jpg"), fixture("graphic.png")]);
  await page.getByRole("status").filter({ hasText: "2 of 3 uploaded." }).waitFor();
  await page.locator("#upload-problems").getByText(/^not-an-image\.jpg: .*decode/i).waitFor();
  assert.deepEqual(await page.locator(".card-name").allTextContents(), ["graphic.png", "photo.jpg"]);
  await settle(page);
  const { result } = await (await call(url, "v1")).json();
  assert.deepEqual(result.images.map(({ filename, requireSignedURLs }) => [filename, requireSignedURLs]), [["graphic.png", true], ["photo.jpg", true]]);
});

test("files are uploaded that are dropped", async (t) => {
  const page = await open(t, await start(t));
  const base64 = fixture("photo.jpg").buffer.toString("base64");
  const transfer = await page.evaluateHandle((base64) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
    return transfer;
  }, base64);
  await page.dispatchEvent("#upload", "drop", { dataTransfer: transfer });
  await page.locator(".card-name").getByText("dropped.jpg").waitFor();
});

test("settings and URLs are copied", async (t) => {
  const url = await start(t);
  const { result } = await upload(url, fixture("photo.webp"), { requireSignedURLs: "true" });
  const page = await open(t, url, { permissions: ["clipboard-read", "clipboard-write"] });
  const copied = async (name) => {
    await page.getByRole("button", { name: `Copy: ${name}`, exact: true }).click();
    await page.getByRole("status").filter({ hasText: "Copied." }).waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  assert.equal(await copied("API base URL"), `${url}client/v4`);
  assert.equal(await copied("API token"), TOKEN);
  await page.getByText("Python SDK").click();
  assert.match(await copied("Python SDK"), /^from cloudflare import Cloudflare\n\nclient = Cloudflare\(\n    base_url="http:/);
  await page.getByRole("link", { name: "photo.webp" }).click();
  const delivered = await fetch(await copied("URL of public"));
  assert.equal(delivered.status, 200);
  assert.equal(await copied("id"), result.id);
});

test("the page follows what happens, keeps the focus, and can be paused", async (t) => {
  const url = await start(t);
  await upload(url, fixture("photo.jpg", "first.jpg"));
  const page = await open(t, url);
  const first = page.getByRole("link", { name: "first.jpg" });
  await first.focus();
  await upload(url, fixture("photo.jpg", "second.jpg"));
  await page.getByRole("link", { name: "second.jpg" }).waitFor();
  assert.ok(await first.evaluate((link) => link === document.activeElement));
  assert.equal(await page.locator("#request-lines > li").count(), 2);

  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#live-state").getByText("Paused").waitFor();
  await upload(url, fixture("photo.jpg", "third.jpg"));
  const asked = page.waitForRequest(url, { timeout: 3000 }).then(() => true, () => false);
  assert.equal(await asked, false);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("link", { name: "third.jpg" }).waitFor();
});

test("everything is there without JavaScript", async (t) => {
  const url = await start(t);
  const page = await open(t, url, { javaScriptEnabled: false });
  assert.equal(await page.getByRole("button", { name: "Copy" }).count(), 0);
  await page.getByLabel("Choose a picture").setInputFiles(fixture("photo.jpg"));
  await page.getByRole("button", { name: "Upload" }).click();
  await page.getByRole("link", { name: "photo.jpg" }).click();
  await page.getByRole("heading", { name: "photo.jpg" }).waitFor();
  await page.getByRole("link", { name: "Images emulator" }).click();
  await upload(url, fixture("graphic.png"));
  await page.getByRole("link", { name: "Reload" }).click();
  await page.getByRole("link", { name: "graphic.png" }).waitFor();
});

test("a page of another origin can neither upload nor read", async (t) => {
  const [url, other] = [await start(t), await start(t)];
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  // Any page of another origin will do whose policy is not what stops it.
  await page.route(other, (route) => route.fulfill({ contentType: "text/html", body: "<title>Elsewhere</title>" }));
  await page.goto(other);
  const outcome = await page.evaluate(async (url) => {
    const body = new FormData();
    body.set("file", new Blob(["x"], { type: "image/png" }), "x.png");
    const read = await fetch(url).then(() => "read", () => "refused");
    await fetch(`${url}_cfimages/upload`, { method: "POST", mode: "no-cors", body }).catch(() => {});
    const image = new Image();
    const loaded = await new Promise((resolve) => {
      image.onload = () => resolve("loaded");
      image.onerror = () => resolve("refused");
      image.src = `${url}_cfimages/logo.svg`;
    });
    return [read, loaded];
  }, url);
  assert.deepEqual(outcome, ["refused", "refused"]);
  assert.deepEqual((await (await call(url, "v1")).json()).result.images, []);
});
