/** Keyboards, screen readers, languages, policies, and screens of all sizes. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { axeSource } from "./support/packages.js";
import { fixture, noise } from "./support/pictures.js";
import { article, open, relayed, site } from "./support/stage.js";

test("everything can be done with the keyboard, and the focus is never lost", async (t) => {
  const uploader = await open(t, article("multiple"));
  const { keyboard } = uploader.page;
  const focused = () =>
    uploader.element.evaluate(({ shadowRoot: { activeElement } }) => activeElement?.getAttribute("aria-label") ?? activeElement?.className);
  await keyboard.press("Tab");
  assert.equal(await focused(), "dropzone");
  const [chooser] = await Promise.all([uploader.page.waitForEvent("filechooser"), keyboard.press("Enter")]);
  await chooser.setFiles([fixture("photo.jpg", "a.jpg"), fixture("photo.jpg", "b.jpg"), fixture("photo.jpg", "c.jpg")]);
  await uploader.until("uploaded", 3);

  await keyboard.press("Tab");
  await keyboard.press("Tab");
  assert.equal(await focused(), "Remove b.jpg");
  await keyboard.press("Space");
  assert.equal(await focused(), "Remove c.jpg");
  await keyboard.press("Enter");
  assert.equal(await focused(), "Remove a.jpg");
  await keyboard.press("Enter");
  assert.equal(await focused(), "dropzone");
  assert.deepEqual(await uploader.get("value"), []);
  assert.deepEqual((await uploader.events("remove")).map(({ file }) => file), ["b.jpg", "c.jpg", "a.jpg"]);
});

test("the focus stays in the line when its upload is cancelled and tried again", async (t) => {
  const uploader = await open(t, article());
  await uploader.throttle({ kilobytes: 50 });
  await uploader.pick(noise("large.png", 400));
  await uploader.untilProgress(0);
  const label = () => uploader.element.evaluate((element) => element.shadowRoot.activeElement?.getAttribute("aria-label"));
  await uploader.button("Cancel large.png").focus();
  await uploader.page.keyboard.press("Enter");
  assert.equal(await label(), "Remove large.png");
  await uploader.page.keyboard.press("Shift+Tab");
  assert.equal(await label(), "Try large.png again");
  await uploader.page.keyboard.press("Enter");
  assert.equal(await label(), "Cancel large.png");
});

test("results are announced", async (t) => {
  const uploader = await open(t, article("multiple"));
  await uploader.pick(fixture("photo.jpg"));
  await uploader.status.getByText("photo.jpg uploaded.").waitFor();
  await uploader.pick(fixture("not-an-image.jpg"));
  await uploader.status.getByText("not-an-image.jpg: This is not a JPEG, PNG, WebP, or GIF file.").waitFor();
  await uploader.button("Remove photo.jpg").click();
  await uploader.status.getByText("photo.jpg removed.").waitFor();
});

test("all texts can be translated, and numbers follow the language", async (t) => {
  const texts = '{"pick": "Bild wählen", "hint": "{types} bis {size}"}';
  const uploader = await open(t, article(`lang="de" max-size="2.5MB" messages='${texts}'`));
  await uploader.set("messages", { drop: "oder hierher ziehen" });
  assert.equal(await uploader.zone.textContent(), "Bild wählen oder hierher ziehenJPEG, PNG, WebP oder GIF bis 2,5 MB");
});

test("a strict content security policy is kept", async (t) => {
  const uploader = await open(t, `${site.origin}/strict.html`);
  await uploader.pick(fixture("photo.jpg"), fixture("not-an-image.jpg"));
  await uploader.until("uploaded");
  await uploader.element.locator("[part=preview] img").waitFor();
  assert.deepEqual(await uploader.page.evaluate("violations"), []);
  const { height } = await uploader.items.first().boundingBox();
  assert.ok(height >= 60, "the style sheet is not applied");
});

/** An uploader that shows every state that lasts. */
async function openInEveryState(t, viewport, colorScheme) {
  site.change = relayed;
  const value = `multiple value='["team/portrait"]' preview-url="/pictures/{id}" max-files="7"`;
  const uploader = await open(t, article(value), { context: { viewport, colorScheme } });
  const picture = { contentType: "image/webp", body: fixture("photo.webp").buffer };
  await uploader.page.route("**/pictures/**", (route) => route.fulfill(picture));
  await uploader.page.reload();
  await uploader.pick(fixture("photo.jpg", "a lake at dusk, seen from the long wooden jetty.jpg"));
  await uploader.until("uploaded", 2);
  await uploader.pick(fixture("not-an-image.jpg"));
  site.faults = [{ status: 403 }, { status: 403 }, { status: 403 }];
  await uploader.pick(fixture("graphic.png"));
  await uploader.until("failed", 2);
  await uploader.throttle({ kilobytes: 150 });
  await uploader.pick(noise("first.png", 350), noise("second.png", 450), noise("third.png", 500));
  // Small files that are looked at sooner would be sent before them, and be gone.
  await uploader.until("uploading", 3);
  await uploader.pick(fixture("animation.gif"), fixture("photo.webp"));
  await uploader.page.waitForFunction(() => uploader.files.some(({ state, progress }) => state === "uploading" && progress > 0.2));
  await uploader.button("Cancel animation.gif").click();
  await uploader.pick(fixture("photo.jpg", "one.jpg"), fixture("photo.jpg", "two.jpg"), fixture("photo.jpg", "three.jpg"));
  await uploader.notice.waitFor();
  return uploader;
}

for (const width of [320, 360, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing, and nothing is too wide or too small: ${width} pixels, ${colorScheme}`, async (t) => {
      const uploader = await openInEveryState(t, { width, height: 900 }, colorScheme);
      await uploader.page.evaluate(axeSource);
      const { violations } = await uploader.page.evaluate(() => axe.run("cfimages-upload"));
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
      assert.equal(await uploader.page.evaluate(() => document.documentElement.scrollWidth), width);
      for (const button of await uploader.element.locator("button:visible").all()) {
        const box = await button.boundingBox();
        assert.ok(box.width >= 44 && box.height >= 44, `${await button.getAttribute("aria-label")}: ${box.width} x ${box.height}`);
      }
      if (process.env.SCREENSHOTS) {
        mkdirSync(process.env.SCREENSHOTS, { recursive: true });
        await uploader.page.screenshot({ path: join(process.env.SCREENSHOTS, `${width}-${colorScheme}.png`), fullPage: true });
      }
    });
  }
}
