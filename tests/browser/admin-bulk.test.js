/** What staff do with many images at once, and take with them as a file. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { ADMIN, askForUploadUrl, findings, openAdmin, signIn, uploadPicture } from "./support/admin.js";
import { deleteDraft, getImage, storedImage } from "./support/backend.js";

/** Three pictures and a draft of a creator of their own, so that other tests have nothing to do with them. */
async function someImages(creator) {
  const pictures = [];
  for (const name of ["lake", "hill", "road"]) pictures.push(await uploadPicture("photo.jpg", `${name}.jpg`, { creator, metadata: { album: "old", stars: 3 } }));
  const draft = JSON.parse((await askForUploadUrl(JSON.stringify({ filename: "still to come.jpg", creator }))).text);
  return { pictures, draft };
}

/** Chooses an action in the list, and comes to the page that asks. */
async function choose(page, action, scope = "all") {
  await page.getByLabel("Which images").selectOption(scope);
  await page.getByLabel("Action", { exact: true }).selectOption(action);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForURL(/images\/bulk\/$/);
}

/** Waits for the end of a run; how many images were done, had nothing to do, and failed. */
async function untilDone(page) {
  await page.waitForURL(/runs\/\d+\/$/);
  await page.locator("#run .badge").filter({ hasText: /^Done/ }).waitFor({ timeout: 30_000 });
  return Promise.all(["done", "unchanged", "failed"].map(async (what) => Number(await page.locator(`#run-${what}`).textContent())));
}

async function begin(page, button = "Begin") {
  await page.getByRole("button", { name: button, exact: true }).click();
  return untilDone(page);
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with" : "without";
  test(`every action is done with many images ${how} scripts`, async (t) => {
    const creator = `bulk ${how}`;
    const { pictures, draft } = await someImages(creator);
    const page = await openAdmin(t, { javaScriptEnabled });
    const list = `images/?view=table&creator=${encodeURIComponent(creator)}`;
    await signIn(page, { path: list });
    const show = () => page.goto(ADMIN + list);

    await page.getByRole("checkbox", { name: "Select lake.jpg" }).check();
    await page.getByRole("checkbox", { name: "Select hill.jpg" }).check();
    if (javaScriptEnabled) {
      await page.getByText("2 selected").waitFor();
      await page.getByLabel("All on this page").check();
      await page.getByText("4 selected").waitFor();
      await page.getByRole("checkbox", { name: "Select road.jpg" }).uncheck();
      await page.getByRole("checkbox", { name: "Select still to come.jpg" }).uncheck();
    }
    await choose(page, "check-status", "chosen");
    await page.getByRole("heading", { name: "Check the status of 2 images?" }).waitFor();
    assert.deepEqual(await begin(page), [2, 0, 0]);

    await show();
    await choose(page, "refresh");
    await page.getByRole("heading", { name: "Check the status of 1 image?" }).waitFor();
    assert.deepEqual(await begin(page), [1, 0, 0]);

    await show();
    await choose(page, "make-private");
    assert.deepEqual(await begin(page), [3, 1, 0]);
    assert.equal((await getImage(pictures[0].id)).require_signed_urls, true);

    await show();
    await choose(page, "make-public");
    assert.deepEqual(await begin(page), [3, 1, 0]);

    await show();
    await choose(page, "edit-metadata");
    await page.getByLabel("Keys to set, as JSON").fill('{"album": }');
    await page.getByLabel("Keys to remove, one a line").fill("stars");
    await page.getByRole("button", { name: "Begin", exact: true }).click();
    assert.match(await page.getByRole("alert").textContent(), /no JSON/);
    assert.equal(await page.getByLabel("Keys to set, as JSON").getAttribute("aria-invalid"), "true");
    await page.getByLabel("Keys to set, as JSON").fill('{"album": "holidays"}');
    assert.deepEqual(await begin(page), [4, 0, 0]);
    const changed = await getImage(pictures[1].id);
    assert.deepEqual(changed.metadata, { album: "holidays" });
    assert.deepEqual((await storedImage(changed.cloudflare_id)).meta, { album: "holidays" });

    await show();
    await choose(page, "mark-expired");
    assert.deepEqual(await begin(page), [1, 0, 0]);
    assert.equal((await getImage(draft.id)).status, "expired");

    await show();
    await choose(page, "delete");
    await page.getByRole("heading", { name: "Delete 4 images?" }).waitFor();
    await page.getByRole("button", { name: "Delete them" }).click();
    assert.match(page.url(), /images\/bulk\/$/, "nobody deletes without saying so");
    await page.getByLabel("I know that the pictures are gone for good.").check();
    assert.deepEqual(await begin(page, "Delete them"), [4, 0, 0]);
    await show();
    await page.getByText("Nothing fits these filters").waitFor();
  });
}

test("failures are told, lead to their images, and are tried again", async (t) => {
  const { pictures } = await someImages("bulk failures");
  await deleteDraft(pictures[1].cloudflare_id);
  const page = await openAdmin(t);
  await signIn(page, { path: "images/?creator=bulk+failures" });
  await choose(page, "check-status");
  assert.deepEqual(await begin(page), [3, 0, 1]);
  const first = page.url();
  await page.getByText(/Failed to check image status/).waitFor();
  await page.getByRole("link", { name: "hill.jpg" }).click();
  await page.getByRole("heading", { name: "hill.jpg" }).waitFor();
  await page.goto(first);
  await page.getByRole("button", { name: "Try the failed ones again" }).click();
  await page.waitForURL((url) => String(url) !== first);
  assert.deepEqual(await untilDone(page), [0, 0, 1]);
  await page.goto(`${ADMIN}runs/`);
  await page.getByRole("link", { name: "Check the status of 4 images" }).first().waitFor();
});

test("the selection is taken as a file", async (t) => {
  await someImages("bulk export");
  const page = await openAdmin(t);
  await signIn(page, { path: "images/?creator=bulk+export&status=uploaded" });
  for (const [name, count] of [["CSV", (text) => text.trimEnd().split("\r\n").length - 1], ["JSON", (text) => JSON.parse(text).length]]) {
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).click()]);
    assert.match(file.suggestedFilename(), /^images-\d{4}-\d\d-\d\d\.(csv|json)$/);
    assert.equal(count(readFileSync(await file.path(), "utf8")), 3, name);
  }
});

for (const width of [360, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing on the way of a run, and nothing is too wide: ${width} pixels, ${colorScheme}`, async (t) => {
      const creator = `bulk ${width} ${colorScheme}`;
      const { pictures } = await someImages(creator);
      await deleteDraft(pictures[0].cloudflare_id);
      const page = await openAdmin(t, { viewport: { width, height: 900 }, colorScheme });
      const look = async (name) => {
        await page.waitForLoadState("networkidle");
        assert.deepEqual(await findings(page), [], name);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, name);
        if (process.env.SCREENSHOTS) {
          mkdirSync(process.env.SCREENSHOTS, { recursive: true });
          await page.screenshot({ path: join(process.env.SCREENSHOTS, `admin-${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
      };
      const list = `images/?creator=${encodeURIComponent(creator)}`;
      await signIn(page, { path: `${list}&view=table` });
      await page.getByRole("checkbox", { name: "Select hill.jpg" }).check();
      await look("bulk-table");
      await page.goto(`${ADMIN}${list}&view=gallery`);
      await page.getByRole("checkbox", { name: "Select hill.jpg" }).check();
      await look("bulk-gallery");
      await choose(page, "delete");
      await look("bulk-delete");
      await page.goto(`${ADMIN}${list}`);
      await choose(page, "edit-metadata");
      await look("bulk-metadata");
      await page.goto(`${ADMIN}${list}`);
      await choose(page, "check-status");
      assert.deepEqual(await begin(page), [3, 0, 1]);
      await look("run");
      await page.goto(`${ADMIN}runs/`);
      await look("runs");
    });
  }
}
