/** What the staff do with one image in the admin site, as a person does it. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { ADMIN, askForUploadUrl, askServer, findings, openAdmin, signIn, uploadPicture } from "./support/admin.js";

async function use(image) {
  const usage = { content_type: "shop.product", object_id: image.id, field_name: "hero", cloudflare_id: image.cloudflare_id };
  const request = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(usage) };
  const answer = await askServer("/api/usages/", request);
  assert.equal(answer.status, 201);
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with" : "without";

  test(`an image is edited, made private and deleted ${how} scripts`, async (t) => {
    const image = await uploadPicture("photo.jpg", `to be edited ${how}.jpg`, { metadata: { album: "holidays" } });
    await use(image);
    const page = await openAdmin(t, { javaScriptEnabled });
    await signIn(page, { path: `images/${image.id}/` });

    await page.getByRole("link", { name: "Edit", exact: true }).click();
    const metadata = page.getByLabel("Metadata", { exact: true });
    assert.match(await metadata.inputValue(), /"album": "holidays"/);
    await metadata.fill('{"album": "winter",\n}');
    if (javaScriptEnabled) {
      await page.getByText(/^Line 2, column 1: /).waitFor();
      assert.equal(await metadata.getAttribute("aria-invalid"), "true");
    }
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Line 2, column 1: trailing comma.").waitFor();
    assert.equal(await metadata.inputValue(), '{"album": "winter",\n}');
    await metadata.fill('{"album":"winter"}');
    if (javaScriptEnabled) {
      await page.getByText("Valid: 18 of 1024 bytes.").waitFor();
      await page.route("**/edit/", (route) => route.fulfill({ status: 503, body: "" }), { times: 1 });
      await page.getByRole("button", { name: "Format the metadata" }).click();
      await page.getByRole("status").filter({ hasText: "The server did not do that." }).waitFor();
      assert.equal(await metadata.inputValue(), '{"album":"winter"}');
    }
    await page.getByRole("button", { name: "Format the metadata" }).click();
    await page.waitForFunction(() => document.getElementById("metadata").value === '{\n  "album": "winter"\n}', null, javaScriptEnabled ? {} : { polling: 100 });
    await page.getByLabel("File name").fill(`edited ${how}.jpg`);
    await page.getByLabel("File name").press("Enter");
    await page.getByText("The changes are saved.").waitFor();
    await page.getByRole("heading", { name: `edited ${how}.jpg` }).waitFor();
    await page.getByText(/changed what is kept with the image/).waitFor();

    await page.getByRole("link", { name: "Make private…" }).click();
    await page.getByText("Cloudflare may give the image another id").waitFor();
    await page.getByText("shop.product").waitFor();
    await page.getByRole("button", { name: "Make it private" }).click();
    await page.getByText("The image is private now.").waitFor();

    await page.getByRole("link", { name: "Raw data from Cloudflare" }).click();
    await page.getByText('"requireSignedURLs": true').waitFor();
    await page.goto(`${ADMIN}images/${image.id}/`);

    await page.getByRole("link", { name: "Delete…" }).click();
    await page.getByRole("heading", { name: "Used in one place" }).waitFor();
    await page.getByRole("button", { name: "Delete the image" }).click();
    assert.match(page.url(), /delete\/$/, "the browser asks for the tick first");
    await page.getByLabel("Delete it although content uses it").check();
    await page.getByRole("button", { name: "Delete the image" }).click();
    await page.getByText("The image is deleted, at Cloudflare and here.").waitFor();
    await page.goto(`${ADMIN}images/${image.id}/`);
    await page.getByText("There is nothing here").waitFor();
  });
}

test("an upload that will not happen is marked as expired", async (t) => {
  const { text } = await askForUploadUrl(JSON.stringify({ filename: "never.jpg" }));
  const page = await openAdmin(t);
  await signIn(page, { path: `images/${JSON.parse(text).id}/` });
  await page.getByRole("button", { name: "Mark as expired" }).click();
  await page.getByText("The upload is marked as expired.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Mark as expired" }).count(), 0);
});

for (const width of [360, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing on the pages that change an image: ${width} pixels, ${colorScheme}`, async (t) => {
      const long = "w".repeat(200);
      const image = await uploadPicture("photo.jpg", `<b>${long}\u202E.jpg`, { creator: long, metadata: { album: long, tags: ["a", "b"] } });
      await use(image);
      const page = await openAdmin(t, { viewport: { width, height: 900 }, colorScheme });
      await signIn(page);
      for (const name of ["", "edit", "delete", "privacy", "cloudflare", "problem"]) {
        await page.goto(`${ADMIN}images/${image.id}/${name === "problem" ? "edit/" : name && `${name}/`}`);
        if (name === "problem") {
          await page.getByLabel("Metadata", { exact: true }).fill("{,}");
          await page.getByRole("button", { name: "Save" }).click();
          await page.locator("[aria-invalid=true]").waitFor();
        }
        await page.waitForLoadState("networkidle");
        assert.deepEqual(await findings(page), [], name);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, name);
        if (process.env.SCREENSHOTS) {
          mkdirSync(process.env.SCREENSHOTS, { recursive: true });
          await page.screenshot({ path: join(process.env.SCREENSHOTS, `admin-image-${name || "show"}-${width}-${colorScheme}.png`), fullPage: true });
        }
      }
    });
  }
}
