/** What each file of tests has for itself: a browser, and a site whose pages use the uploader. */
import { after, before, beforeEach } from "node:test";

import { EMULATOR } from "./backend.js";
import { Uploader, launch } from "./browser.js";
import { startSite } from "./site.js";

let browser;
export let site;

before(async () => {
  [browser, site] = await Promise.all([launch(), startSite()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});
beforeEach(() => site.reset());

/** A page in a fresh context, which is closed after the test. Errors of its scripts fail the test. */
export async function open(t, url, { context: options, cookies } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  if (cookies) await context.addCookies(cookies);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  // From the beginning: a picker that opens before anybody waits for it would be lost.
  page.on("filechooser", () => {});
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  t.after(async () => {
    await context.close();
    if (errors.length) throw errors[0];
  });
  await page.goto(url);
  return new Uploader(page);
}

/** The article with an uploader that has these attributes. */
export const article = (attributes = "") => `${site.origin}/article.html?attributes=${encodeURIComponent(attributes)}`;

/** Leads an upload through the site, which spoils it. */
export const relayed = (answer) => ({ ...answer, upload_url: answer.upload_url.replace(EMULATOR, `${site.origin}/relay`) });

/** The cookies of somebody who is signed in to the site. */
export const cookies = (token) => [
  { name: "sessionid", value: "s", url: site.origin },
  { name: "csrftoken", value: token, url: site.origin },
];
