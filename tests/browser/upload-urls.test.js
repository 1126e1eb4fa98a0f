/** Where upload URLs come from. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { CFIMAGES, EMULATOR, credentials, storedImage, untilUploaded } from "./support/backend.js";
import { fixture } from "./support/pictures.js";
import { article, cookies, open, site } from "./support/stage.js";

test("on pages of the server the endpoint is found by itself, and a token is enough", async (t) => {
  // The page of the server itself, whose policy allows no scripts.
  const uploader = await open(t, new URL(CFIMAGES).origin, { context: { bypassCSP: true } });
  await uploader.page.setContent(`<script type="module" src="${CFIMAGES}/static/cfimages-upload.js"></script>
    <cfimages-upload name="a" token="${credentials.token}" metadata='{"album": "lakes"}' creator="ada" require-signed-urls="true" expiry-minutes="5">
    </cfimages-upload>`);
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");
  const id = await uploader.get("value");
  const { metadata, require_signed_urls, filename } = await untilUploaded(id);
  assert.deepEqual([metadata.album, require_signed_urls, filename], ["lakes", true, "photo.jpg"]);
  assert.equal((await storedImage(id)).creator, "ada");
});

test("a session of Django is sent along with its CSRF token", async (t) => {
  const uploader = await open(t, article('endpoint="/upload-url/"'), { cookies: cookies(site.csrfToken) });
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");
  const [{ headers, body }] = site.asked;
  assert.equal(headers["x-csrftoken"], site.csrfToken);
  assert.equal(headers["content-type"], "application/json");
  assert.deepEqual(JSON.parse(body), { filename: "photo.jpg" });
});

test("the CSRF token is never sent to another origin", async (t) => {
  const uploader = await open(t, article(`endpoint="${EMULATOR}/upload-url/"`), { cookies: cookies(site.csrfToken) });
  const asked = [];
  await uploader.page.route(`${EMULATOR}/upload-url/`, (route) => {
    asked.push(route.request().headers());
    return route.fulfill({ status: 403, headers: { "Access-Control-Allow-Origin": "*" }, json: { detail: "No." } });
  });
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed");
  assert.deepEqual(asked.map((headers) => headers["x-csrftoken"]), [undefined]);
});

test("what the endpoint refuses is told in one sentence", async (t) => {
  const uploader = await open(t, article('multiple endpoint="/upload-url/"'), { cookies: cookies("wrong") });
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed");
  const message = async () => (await uploader.get("files")).at(-1).error.message;
  assert.equal(await message(), "You may not upload here. Sign in again and retry. CSRF Failed: CSRF token missing.");

  await uploader.page.context().clearCookies();
  await uploader.element.evaluate((element) => element.setAttribute("expiry-minutes", "1"));
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed", 2);
  assert.equal(await message(), "The upload was refused. expiry_minutes: Ensure this value is greater than or equal to 2.");

  await uploader.element.evaluate((element) => element.setAttribute("metadata", "{"));
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed", 3);
  assert.equal(await message(), "This page is not set up for uploads. metadata is not JSON.");

  await uploader.element.evaluate((element) => element.setAttribute("endpoint", "http://["));
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed", 4);
  assert.equal(await message(), "This page is not set up for uploads. endpoint is no URL.");
});

test("answers that are no upload URL are no reason to send the file anywhere", async (t) => {
  const uploader = await open(t, article("multiple"));
  for (const [place, upload_url] of ["javascript:alert(1)", "", undefined, "ftp://127.0.0.1/"].entries()) {
    site.change = (answer) => ({ ...answer, upload_url });
    await uploader.pick(fixture("photo.jpg"));
    await uploader.until("failed", place + 1);
  }
  assert.deepEqual(new Set((await uploader.events("error")).map(({ code }) => code)), new Set(["configuration"]));
  assert.equal(uploader.uploads.length, 0);
});

test("a callback that fails says why", async (t) => {
  const uploader = await open(t, article());
  await uploader.page.evaluate(() => {
    uploader.getUploadUrl = async () => {
      throw new Error("The album is full.");
    };
  });
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed");
  assert.equal((await uploader.get("files"))[0].error.message, "The upload was refused. The album is full.");
});
