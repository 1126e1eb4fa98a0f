/** The admin site in a Chromium, and what a member of the staff does there. */
import { after, before } from "node:test";

import { CFIMAGES, EMULATOR, askForUploadUrl, askServer, credentials, untilUploaded } from "./backend.js";
import { launch } from "./browser.js";
import { axeSource } from "./packages.js";
import { fixture } from "./pictures.js";

export const ADMIN = `${CFIMAGES}/admin/`;

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

/** A page in a fresh context. Errors of scripts, and anything that the content security policy stops, fail the test. */
export async function openAdmin(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => /Content Security Policy|Refused to/i.test(message.text()) && problems.push(message.text()));
  t.after(async () => {
    await context.close();
    if (problems.length) throw new Error(problems.join("\n"));
  });
  return page;
}

export async function signIn(page, { password = credentials.password, path = "" } = {}) {
  await page.goto(ADMIN + path);
  await page.getByLabel("User name").fill(credentials.username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Has a picture uploaded; the image as the API tells it. */
export async function uploadPicture(source, name, fields = {}) {
  const { status, text } = await askForUploadUrl(JSON.stringify({ filename: name, ...fields }));
  if (status !== 201) throw new Error(text);
  const { upload_url: url, cloudflare_id: id } = JSON.parse(text);
  const form = new FormData();
  const { buffer, mimeType } = fixture(source);
  form.append("file", new Blob([buffer], { type: mimeType }), source);
  const answer = await fetch(url, { method: "POST", body: form });
  if (!answer.ok) throw new Error(`the emulator answers ${answer.status}`);
  return untilUploaded(id);
}

/** What axe finds on a page, in short. */
export async function findings(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => axe.run());
  return violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 200))]);
}

export { CFIMAGES, EMULATOR, askForUploadUrl, askServer, credentials };
