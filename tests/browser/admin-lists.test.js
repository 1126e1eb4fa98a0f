/** The admin's lists of what happened, and the pages for superusers, as a person uses them. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";

import { ADMIN, CFIMAGES, askServer, credentials, findings, openAdmin, signIn, uploadPicture } from "./support/admin.js";

const HOSTILE = `<script>document.title="owned"</script><img src=x onerror=alert(1)>"'\u202Egpj.exe\u200B`;
const LONG = "w".repeat(1500);
let picture;

/** Sends the webhook something that it refuses, and that it keeps. */
async function sendWebhook(body) {
  const answer = await fetch(`${CFIMAGES}/api/webhook/`, { method: "POST", headers: { "Content-Type": "application/json", "X-Signature": "sha256=00" }, body });
  assert.equal(answer.status, 401);
}

async function recordUsage(contentType, id, cloudflareId) {
  const body = JSON.stringify({ content_type: contentType, object_id: id, field_name: "hero", cloudflare_id: cloudflareId });
  const { status } = await askServer("/api/usages/", { method: "PUT", headers: { "Content-Type": "application/json" }, body });
  assert.ok(status === 200 || status === 201);
}

before(async () => {
  picture = await uploadPicture("photo.jpg", "listed.jpg");
  await sendWebhook(JSON.stringify({ eventType: "image.uploaded", imageId: HOSTILE, text: [HOSTILE, LONG] }));
  await recordUsage("shop.product", "7", picture.cloudflare_id);
  await recordUsage("shop.product", HOSTILE, HOSTILE.replaceAll(/[\u202E\u200B]/g, ""));
});

/** Waits until what is written a little later is there. */
async function until(page, path, text) {
  for (let tries = 0; tries < 20; tries++) {
    await page.goto(ADMIN + path);
    if (await page.getByText(text).count()) return;
    await page.waitForTimeout(250);
  }
  assert.fail(`${path} does not show ${text}`);
}

for (const javaScriptEnabled of [true, false]) {
  const scripts = javaScriptEnabled ? "with" : "without";

  test(`webhooks, logs and usages are found by their filters ${scripts} scripts`, async (t) => {
    const page = await openAdmin(t, { javaScriptEnabled });
    await signIn(page);
    const filter = async () => javaScriptEnabled || (await page.getByRole("button", { name: "Filter" }).click());
    await until(page, "webhooks/", "Refused");
    await page.getByLabel("Outcome").selectOption("refused");
    await filter();
    await page.waitForURL(/outcome=refused/);
    await page.getByRole("link", { name: "Not understood" }).or(page.getByRole("link", { name: "Event of an image" })).first().click();
    await page.getByRole("heading", { name: "Body" }).waitFor();
    assert.match(await page.locator("pre").textContent(), /"eventType": "image.uploaded"/);

    await page.getByRole("link", { name: "Logs" }).click();
    await page.getByLabel("Image").fill(picture.cloudflare_id);
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL(/image=/);
    await page.getByRole("link", { name: "listed.jpg" }).first().waitFor();
    await page.getByText("Data", { exact: true }).first().click();
    assert.ok(await page.locator("pre").first().isVisible());
    await page.getByRole("link", { name: "listed.jpg" }).first().click();
    await page.getByRole("heading", { name: "listed.jpg" }).waitFor();

    await page.getByRole("link", { name: "Usages" }).click();
    await page.locator('select[name="images"]').selectOption("unregistered");
    await filter();
    await page.waitForURL(/images=unregistered/);
    await page.getByText("Not recorded here").first().waitFor();
    assert.equal(await page.getByRole("link", { name: "listed.jpg" }).count(), 0);

    await page.getByRole("link", { name: "Repairs" }).click();
    // Other tests change the privacy of images meanwhile, which is noted there for a moment.
    await page.getByRole("heading", { name: "Repairs", exact: true }).waitFor();
  });
}

test("a token is shown once, rotated after a question, and the settings hide it", async (t) => {
  const page = await openAdmin(t);
  await signIn(page, { path: "users/" });
  await page.getByLabel("Search").fill(credentials.username);
  await page.waitForURL(/q=/);
  await page.getByRole("link", { name: credentials.username, exact: true }).click();
  await page.getByRole("heading", { name: "API token" }).waitFor();
  assert.equal(await page.getByText(credentials.token).count(), 0);
  await page.getByRole("button", { name: "Show it" }).click();
  await page.getByText(credentials.token).waitFor();
  await page.getByRole("link", { name: "Hide it" }).click();
  assert.equal(await page.getByText(credentials.token).count(), 0);
  // Other tests use the token: the question is left with no.
  await page.getByRole("link", { name: "Rotate…" }).click();
  await page.getByRole("heading", { name: "Rotate this token?" }).waitFor();
  await page.getByRole("link", { name: "Keep it" }).click();
  await page.getByRole("heading", { name: "API token" }).waitFor();
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByText("CFIMAGES_TRUSTED_PROXIES").first().waitFor();
  assert.equal(await page.getByText(credentials.token).count(), 0);
});

const VIEWS = [
  ["webhooks", "webhooks/"],
  ["webhook", null],
  ["repairs", "repairs/"],
  ["logs", "logs/"],
  ["usages", "usages/"],
  ["no-usages", "usages/?id=nothing"],
  ["broken-filter", "logs/?message=x"],
  ["users", "users/"],
  ["user", "users/1/"],
  ["token-question", "users/1/rotate-token/"],
  ["settings", "settings/"],
];

for (const width of [360, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing in lists, no text is markup, and nothing is too wide: ${width} pixels, ${colorScheme}`, async (t) => {
      const page = await openAdmin(t, { viewport: { width, height: 900 }, colorScheme });
      await signIn(page);
      await until(page, "webhooks/", "Refused");
      const webhook = await page.locator(".line-title").first().getAttribute("href");
      for (const [name, path] of VIEWS) {
        await page.goto(ADMIN + (path ?? `webhooks/${webhook}`));
        await page.waitForLoadState("networkidle");
        assert.deepEqual(await findings(page), [], name);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, name);
        assert.doesNotMatch(await page.title(), /^owned$/);
        assert.equal(await page.locator("main script, [onerror]").count(), 0, name);
        if (process.env.SCREENSHOTS) {
          mkdirSync(process.env.SCREENSHOTS, { recursive: true });
          await page.screenshot({ path: join(process.env.SCREENSHOTS, `admin-${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
      }
    });
  }
}
