/** The admin site, as a person uses it. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";

import { ADMIN, askForUploadUrl, askServer, findings, openAdmin, signIn, uploadPicture } from "./support/admin.js";

const HOSTILE = `<script>document.title="owned"</script><img src=x onerror=alert(1)>"'\u202Egpj.exe\u200B`;
const LONG = "w".repeat(10_000);
let lake;
let hostile;

before(async () => {
  lake = await uploadPicture("photo.jpg", "a lake at dusk.jpg", { metadata: { album: "holidays", rating: 5 } });
  await uploadPicture("graphic.png", "graphic.png");
  await uploadPicture("photo.webp", "boat.webp");
  hostile = await uploadPicture("photo.jpg", HOSTILE, { creator: HOSTILE });
  // Cloudflare takes less, but the record holds more.
  const changes = { metadata: { [HOSTILE]: HOSTILE, long: LONG } };
  const request = { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify(changes) };
  assert.equal((await askServer(`/api/images/${hostile.id}/`, request)).status, 200);
  await askForUploadUrl(JSON.stringify({ filename: "still to come.jpg" }));
});

test("a wrong password is told, and the right one leads to where one wanted to go", async (t) => {
  const page = await openAdmin(t);
  await signIn(page, { password: "wrong", path: "sessions/" });
  assert.match(await page.getByRole("alert").textContent(), /wrong/);
  assert.equal(await page.evaluate(() => document.activeElement.name), "password");
  await signIn(page, { path: "sessions/" });
  assert.equal(page.url(), `${ADMIN}sessions/`);
  await page.getByText("This browser").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.goto(ADMIN);
  assert.match(page.url(), /sign-in/);
});

test("other sessions are ended", async (t) => {
  const [one, other] = [await openAdmin(t), await openAdmin(t)];
  await signIn(one, { path: "sessions/" });
  await signIn(other);
  await one.reload();
  await one.getByRole("button", { name: "End all others" }).click();
  await one.getByText("This browser").waitFor();
  assert.equal(await one.getByRole("button", { name: "End all others" }).count(), 0);
  await other.reload();
  assert.match(other.url(), /sign-in/);
});

for (const javaScriptEnabled of [true, false]) {
  test(`images are searched, filtered, looked at and checked ${javaScriptEnabled ? "with" : "without"} scripts`, async (t) => {
    const page = await openAdmin(t, { javaScriptEnabled });
    await signIn(page, { path: "images/?view=gallery" });
    await page.getByLabel("Search").fill("dusk");
    await page.getByLabel("Search").press("Enter");
    await page.getByRole("heading", { name: "1 image", exact: true }).waitFor();
    assert.match(page.url(), /q=dusk/);
    await page.getByRole("link", { name: "Table" }).click();
    await page.locator("table").waitFor();
    await page.goto(`${ADMIN}images/?q=dusk`);
    assert.equal(await page.locator("tbody tr").count(), 1);
    await page.getByRole("link", { name: "a lake at dusk.jpg" }).click();
    await page.getByRole("heading", { name: "a lake at dusk.jpg" }).waitFor();
    assert.ok(await page.getByAltText("The picture of a lake at dusk.jpg").isVisible());
    await page.getByRole("button", { name: "Check the status now" }).click();
    await page.getByText("Cloudflare was asked").waitFor();
    await page.getByText(/had Cloudflare asked for the status/).first().waitFor();

    await page.goto(`${ADMIN}images/`);
    await page.getByLabel("Status").selectOption("pending");
    if (!javaScriptEnabled) await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("still to come.jpg").waitFor();
    await page.getByRole("link", { name: "Remove all" }).click();
    await page.getByText("boat.webp").waitFor();
    await page.getByText("More filters and order").click();
    await page.getByLabel("Owner").fill("nobody-of-this-name");
    await page.getByRole("button", { name: "Search" }).click();
    await page.waitForURL(/owner=nobody/);
    await page.goto(page.url());
    await page.getByText("There is no user nobody-of-this-name.").waitFor();
  });
}

test("pages follow one another and back", async (t) => {
  const page = await openAdmin(t);
  for (let missing = 30; missing > 0; missing--) await askForUploadUrl(JSON.stringify({ filename: `page-${missing}.jpg` }));
  await signIn(page, { path: "images/?per=25&view=table" });
  const names = () => page.locator("tbody th").allTextContents();
  const first = await names();
  assert.equal(first.length, 25);
  await page.getByRole("link", { name: "Next" }).click();
  await page.waitForURL(/after=/);
  await page.getByRole("link", { name: "Previous" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "count", "the focus stays in the list");
  const second = await names();
  assert.equal(second.filter((name) => first.includes(name)).length, 0);
  await page.getByRole("link", { name: "Previous" }).click();
  await page.waitForURL(/before=/);
  await page.getByRole("link", { name: "Next" }).waitFor();
  assert.deepEqual(await names(), first);
  await page.goBack();
  await page.getByRole("link", { name: second[0], exact: true }).waitFor();
  assert.deepEqual(await names(), second);
});

test("ids are copied", async (t) => {
  const page = await openAdmin(t, { permissions: ["clipboard-read", "clipboard-write"] });
  await signIn(page, { path: "images/?q=dusk" });
  await page.getByRole("button", { name: "Copy the id of a lake at dusk.jpg" }).click();
  await page.getByRole("status").getByText("Copied.").waitFor({ state: "attached" });
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), lake.cloudflare_id);
});

test("the menu of a phone works with the keyboard and without scripts", async (t) => {
  const page = await openAdmin(t, { viewport: { width: 360, height: 740 }, javaScriptEnabled: false });
  await signIn(page);
  assert.equal(await page.getByRole("link", { name: "Your sessions" }).isVisible(), false);
  await page.keyboard.press("Tab");
  assert.equal(await page.getByRole("link", { name: "Skip to the content" }).evaluate((link) => link === document.activeElement), true);
  await page.getByRole("button", { name: "Menu" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Your sessions" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Your sessions" }).waitFor();
});

test("hostile names and metadata are texts everywhere, and nothing becomes too wide", async (t) => {
  const pages = ["", "images/?view=gallery", "images/?view=table", `images/${hostile.id}/`, `images/?q=${encodeURIComponent(HOSTILE)}`];
  for (const width of [360, 1280]) {
    const page = await openAdmin(t, { viewport: { width, height: 900 } });
    await signIn(page);
    for (const path of pages) {
      await page.goto(ADMIN + path);
      assert.doesNotMatch(await page.title(), /^owned$/);
      assert.equal(await page.locator("main script").count(), 0);
      assert.equal(await page.locator("[onerror]").count(), 0);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${path} at ${width}`);
    }
    await page.goto(`${ADMIN}images/${hostile.id}/`);
    assert.match(await page.locator("h1").textContent(), /^<script>.*⟨U\+202E⟩gpj\.exe⟨U\+200B⟩$/);
    await page.goto(`${ADMIN}images/?status=${encodeURIComponent(HOSTILE)}`);
    await page.getByRole("heading", { name: "Nothing can be shown with these filters" }).waitFor();
  }
});

const VIEWS = [
  ["sign-in", "sign-in/", false],
  ["dashboard", "", true],
  ["gallery", "images/?view=gallery", true],
  ["table", "images/?view=table", true],
  ["filters", "images/?view=table&status=uploaded&creator=x&from=2020-01-01", true],
  ["image", null, true],
  ["sessions", "sessions/", true],
  ["not-found", "nowhere/", true],
];

for (const width of [360, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing, and nothing is too wide: ${width} pixels, ${colorScheme}`, async (t) => {
      const page = await openAdmin(t, { viewport: { width, height: 900 }, colorScheme });
      for (const [name, path, needsSignIn] of VIEWS) {
        if (needsSignIn && !(await page.context().cookies()).some((cookie) => cookie.name === "cfimages_admin")) await signIn(page);
        await page.goto(ADMIN + (path ?? `images/${lake.id}/`));
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
