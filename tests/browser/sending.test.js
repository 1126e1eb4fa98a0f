/** Files on their way to Cloudflare. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { EMULATOR, deleteDraft, untilUploaded } from "./support/backend.js";
import { startLine } from "./support/line.js";
import { fixture, noise } from "./support/pictures.js";
import { article, open, relayed, site } from "./support/stage.js";

test("the progress is told and shown while the file is sent", async (t) => {
  const uploader = await open(t, article());
  await uploader.throttle({ kilobytes: 400 });
  await uploader.page.evaluate(() => {
    window.shown = [];
    addEventListener("cfimages-progress", () => shown.push(uploader.shadowRoot.querySelector("progress").value));
  });
  await uploader.pick(noise("large.png", 500));
  await uploader.until("uploaded");
  const told = await uploader.events("progress");
  const between = told.filter(({ loaded, total }) => loaded > 0 && loaded < total).map(({ loaded }) => loaded);
  assert.ok(new Set(between).size >= 2, `told: ${between}`);
  assert.deepEqual(between, [...between].sort((a, b) => a - b));
  const shown = (await uploader.page.evaluate("shown")).filter((value) => value > 0 && value < 1);
  assert.ok(new Set(shown).size >= 2, `shown: ${shown}`);
});

/** An article whose upload is in its middle, over a line that can be cut. */
async function openOnTheWay(t) {
  const line = await startLine();
  t.after(() => line.stop());
  site.change = (answer) => ({ ...answer, upload_url: answer.upload_url.replace(EMULATOR, line.origin) });
  const uploader = await open(t, article());
  await uploader.throttle({ kilobytes: 300 });
  await uploader.pick(noise("large.png", 500));
  await uploader.untilProgress(0.1);
  return [uploader, line];
}

test("an upload that loses the network goes on when it is back", async (t) => {
  const [uploader, line] = await openOnTheWay(t);
  await uploader.throttle({ offline: true });
  line.cut();
  await uploader.until("offline");
  assert.match(await uploader.items.first().textContent(), /Waiting for the network/);

  line.mend();
  await uploader.throttle({});
  await uploader.until("uploaded");
  assert.deepEqual(await uploader.events("error"), []);
  assert.deepEqual([uploader.uploads.length, site.asked.length], [2, 1]);
  assert.notEqual(uploader.uploads[0].failure(), null);
  await untilUploaded(await uploader.get("value"));
});

test("an upload whose connection breaks is tried again", async (t) => {
  const [uploader, line] = await openOnTheWay(t);
  line.cut();
  await uploader.until("retrying");
  assert.match(await uploader.items.first().textContent(), /The connection broke, trying again/);

  line.mend();
  await uploader.throttle({});
  await uploader.until("uploaded");
  assert.deepEqual(await uploader.events("error"), []);
  assert.equal(site.asked.length, 1);
  await untilUploaded(await uploader.get("value"));
});

test("an upload whose answer got lost is found to have succeeded", async (t) => {
  site.change = relayed;
  site.faults = ["lose"];
  const uploader = await open(t, article());
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");
  assert.deepEqual([uploader.uploads.length, site.asked.length], [2, 1]);
  const id = await uploader.get("value");
  assert.ok(uploader.uploads[0].url().endsWith(id));
  await untilUploaded(id);
});

test("failures that pass are tried again, after the time that is asked for", async (t) => {
  site.change = relayed;
  site.faults = [
    { status: 429, headers: { "Retry-After": "2" }, body: "slowly" },
    { status: 400, body: "ERROR 5450: broken" },
  ];
  const uploader = await open(t, article());
  const sent = [];
  uploader.page.on("request", (request) => request.url().includes("/relay/") && sent.push(request));
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");
  assert.equal(sent.length, 3);
  // By the browser's own clock: its events may come late.
  const waited = sent[1].timing().startTime - sent[0].timing().startTime;
  assert.ok(waited >= 1990, `waited ${waited} ms`);
});

test("an upload that gets no answer for a minute is tried again", async (t) => {
  site.change = relayed;
  site.faults = ["hang"];
  const uploader = await open(t, article());
  await uploader.page.clock.install();
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("processing");
  await uploader.page.clock.fastForward(59_000);
  assert.equal((await uploader.get("files"))[0].state, "processing");
  await uploader.page.clock.fastForward(1_500);
  await uploader.until("retrying");
  await uploader.page.clock.fastForward(1_500);
  await uploader.until("uploaded");
});

test("an upload is given up after the retries, and can be tried again", async (t) => {
  site.change = relayed;
  site.faults = [{ status: 503 }, { status: 503 }];
  const uploader = await open(t, article('retries="1"'));
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed");
  assert.equal((await uploader.events("error"))[0].code, "network");
  await uploader.button("Try photo.jpg again").click();
  await uploader.until("uploaded");
  assert.deepEqual([uploader.uploads.length, site.asked.length], [3, 1]);
});

test("an upload URL that has expired is replaced by a new one", async (t) => {
  site.change = async (answer, number) => {
    if (number === 1) await deleteDraft(answer.cloudflare_id);
    return answer;
  };
  const uploader = await open(t, article());
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");
  assert.deepEqual([uploader.uploads.length, site.asked.length], [2, 2]);
  const id = await uploader.get("value");
  assert.ok(uploader.uploads[1].url().endsWith(id) && !uploader.uploads[0].url().endsWith(id));
  await untilUploaded(id);
});

test("an upload URL that was used before does not bring in the picture that it was used for", async (t) => {
  site.change = async (answer, number) => {
    if (number === 1) {
      const form = new FormData();
      form.append("file", new Blob([fixture("graphic.png").buffer], { type: "image/png" }), "other.png");
      assert.equal((await fetch(answer.upload_url, { method: "POST", body: form })).status, 200);
    }
    return answer;
  };
  const uploader = await open(t, article());
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");
  assert.equal((await untilUploaded(await uploader.get("value"))).filename, "photo.jpg");
  assert.equal(site.asked.length, 2);
});

test("upload URLs that are never good are not asked for without end", async (t) => {
  site.change = async (answer) => {
    await deleteDraft(answer.cloudflare_id);
    return answer;
  };
  const uploader = await open(t, article());
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("failed");
  const [error] = await uploader.events("error");
  assert.deepEqual([error.code, error.message], ["refused", "The upload was refused. Image not found"]);
  assert.equal(site.asked.length, 3);
});

test("a new URL is asked for without trying the old one, when its time has passed", async (t) => {
  site.change = relayed;
  site.faults = [{ status: 503, headers: { "Retry-After": "240" } }];
  const uploader = await open(t, article());
  await uploader.page.clock.install();
  site.change = (answer) => ({ ...relayed(answer), expires_at: new Date(Date.now() + 120_000).toISOString() });
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("retrying");
  await uploader.page.clock.fastForward(241_000);
  await uploader.until("uploaded");
  assert.deepEqual([uploader.uploads.length, site.asked.length], [2, 2]);
});

test("a clock that is wrong makes no upload URL useless", async (t) => {
  site.change = relayed;
  site.faults = [{ status: 503 }];
  const uploader = await open(t, article());
  await uploader.page.clock.install({ time: Date.now() + 86_400_000 });
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("retrying");
  await uploader.page.clock.fastForward(1_500);
  await uploader.until("uploaded");
  assert.deepEqual([uploader.uploads.length, site.asked.length], [2, 1]);
});

test("of ten files at once, three are on their way at a time, in their order", async (t) => {
  const uploader = await open(t, article("multiple"));
  let most = 0;
  await uploader.page.exposeFunction("count", (running) => (most = Math.max(most, running)));
  await uploader.page.evaluate(() => {
    const send = XMLHttpRequest.prototype.send;
    let running = 0;
    XMLHttpRequest.prototype.send = function (body) {
      count(++running);
      this.addEventListener("loadend", () => running--);
      send.call(this, body);
    };
  });
  const names = Array.from({ length: 10 }, (_, number) => `photo-${number}.jpg`);
  // So that an upload is not over before the next can begin.
  await uploader.throttle({ kilobytes: 300 });
  await uploader.pick(...names.map((name) => fixture("photo.jpg", name)));
  await uploader.until("uploaded", 10);
  assert.equal(most, 3);
  const ids = await uploader.get("value");
  assert.equal(new Set(ids).size, 10);
  const stored = await Promise.all(ids.map(untilUploaded));
  assert.deepEqual(stored.map(({ filename }) => filename), names);
  assert.equal((await uploader.events("complete")).length, 1);
  await uploader.status.getByText("All uploads have ended.").waitFor();
});

test("cancelling ends the upload, and it can be taken up again", async (t) => {
  const uploader = await open(t, article());
  await uploader.throttle({ kilobytes: 100 });
  await uploader.pick(noise("large.png", 400));
  await uploader.untilProgress(0);
  await Promise.all([uploader.page.waitForEvent("requestfailed"), uploader.button("Cancel large.png").click()]);
  await uploader.until("cancelled");
  assert.deepEqual((await uploader.events("cancel")).map(({ file }) => file), ["large.png"]);
  assert.deepEqual(await uploader.events("error"), []);
  assert.equal(await uploader.get("value"), "");

  await uploader.throttle({});
  await uploader.button("Try large.png again").click();
  await uploader.until("uploaded");
  await untilUploaded(await uploader.get("value"));
});

test("an element that is moved goes on, and one that is taken away ends its uploads", async (t) => {
  const uploader = await open(t, article());
  await uploader.throttle({ kilobytes: 100 });
  await uploader.pick(noise("large.png", 400));
  await uploader.untilProgress(0);
  await uploader.page.evaluate(() => document.querySelector("main").append(uploader));
  await uploader.page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal((await uploader.get("files"))[0].state, "uploading");
  await uploader.page.evaluate(() => uploader.remove());
  await uploader.page.waitForFunction(() => uploader.files[0].state === "cancelled");
});
