/** The page that describes the API, with scripts and without. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { CFIMAGES, findings, openAdmin } from "./support/admin.js";

const DOCS = `${CFIMAGES}/docs/`;

for (const [width, height] of [[360, 740], [1280, 900]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing in the description of the API, and nothing is too wide: ${width} pixels, ${colorScheme}`, async (t) => {
      const page = await openAdmin(t, { viewport: { width, height }, colorScheme });
      await page.goto(DOCS);
      assert.deepEqual(await findings(page), []);
      const widest = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(widest <= width, `the page is ${widest} pixels wide`);
      if (process.env.SCREENSHOTS) {
        await page.screenshot({ path: `${process.env.SCREENSHOTS}/docs-${width}-${colorScheme}.png` });
        await page.goto(`${DOCS}#create_upload_url`);
        await page.screenshot({ path: `${process.env.SCREENSHOTS}/docs-${width}-${colorScheme}-operation.png` });
      }
    });
  }
}

for (const javaScriptEnabled of [true, false]) {
  test(`the menu leads to an operation, on a phone, too ${javaScriptEnabled ? "with" : "without"} scripts`, async (t) => {
    const page = await openAdmin(t, { viewport: { width: 360, height: 740 }, javaScriptEnabled });
    await page.goto(DOCS);
    await page.getByRole("button", { name: "Menu" }).click();
    await page.getByRole("navigation").getByRole("link", { name: "Create an upload URL" }).click();
    assert.match(page.url(), /#create_upload_url$/);
    await page.getByRole("heading", { name: "Create an upload URL" }).waitFor();
  });
}
