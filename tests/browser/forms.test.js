/** The element as a field of a form. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { getImage, untilUploaded } from "./support/backend.js";
import { fixture, noise } from "./support/pictures.js";
import { article, cookies, open, site } from "./support/stage.js";

const submit = async (uploader) => {
  const button = uploader.page.getByRole("button", { name: /^(Save|Upload Image)$/ });
  await Promise.all([uploader.page.waitForURL("**/sent.html*"), button.click()]);
  return site.forms.at(-1);
};

/** The fields of a multipart form, in their order; the content of files is told by its length. */
function fieldsOf({ type, body }) {
  const text = body.toString("latin1");
  const parts = text.split(`--${/boundary=(.*)/.exec(type)[1]}`).slice(1, -1);
  return parts.map((part) => {
    const [head, value] = [part.slice(0, part.indexOf("\r\n\r\n")), part.slice(part.indexOf("\r\n\r\n") + 4, -2)];
    const name = /name="([^"]*)"/.exec(head)[1];
    const filename = /filename="([^"]*)"/.exec(head)?.[1];
    return filename === undefined ? [name, value] : [name, filename, value.length];
  });
}

test("a form carries the ids of all pictures, and nothing of the field for browsers without JavaScript", async (t) => {
  const uploader = await open(t, article(`multiple value='["old/one"]'`));
  await uploader.pick(fixture("photo.jpg"), fixture("graphic.png"));
  await uploader.until("uploaded", 3);
  const ids = await uploader.get("value");
  assert.deepEqual(fieldsOf(await submit(uploader)), [...ids.map((id) => ["pictures", id]), ["save", "yes"]]);
  assert.equal(ids[0], "old/one");
});

test("a form without a picture carries no field", async (t) => {
  const uploader = await open(t, article());
  assert.deepEqual(fieldsOf(await submit(uploader)), [["save", "yes"]]);
});

test("a form is not sent before the picture is there", async (t) => {
  const uploader = await open(t, article('required multiple'));
  const validity = () =>
    uploader.element.evaluate((element) => [element.checkValidity(), element.validity.valueMissing, element.validationMessage]);
  assert.deepEqual(await validity(), [false, true, "Choose an image."]);
  await uploader.page.getByRole("button", { name: "Save" }).click();
  assert.equal(await uploader.page.evaluate(() => document.activeElement.id), "pictures");

  await uploader.throttle({ kilobytes: 100 });
  await uploader.pick(noise("large.png", 400));
  await uploader.untilProgress(0);
  assert.deepEqual(await validity(), [false, false, "Wait until the upload has ended."]);
  await uploader.throttle({});
  await uploader.until("uploaded");
  assert.deepEqual(await validity(), [true, false, ""]);

  await uploader.pick(fixture("not-an-image.jpg"));
  await uploader.until("failed");
  assert.deepEqual(await validity(), [false, false, "not-an-image.jpg was not uploaded. Try it again or remove it."]);
  await uploader.button("Remove not-an-image.jpg").click();
  assert.deepEqual(await validity(), [true, false, ""]);
  assert.deepEqual(site.forms, []);
});

test("a reset goes back to what was there, and ends what is under way", async (t) => {
  const uploader = await open(t, article('value="old/one"'));
  await uploader.throttle({ kilobytes: 100 });
  await uploader.pick(noise("large.png", 400));
  await uploader.page.waitForFunction(() => uploader.files[0].state === "uploading");
  await uploader.page.getByRole("button", { name: "Begin anew" }).click();
  assert.deepEqual((await uploader.get("files")).map(({ id, state }) => [id, state]), [["old/one", "uploaded"]]);
  assert.equal(await uploader.get("value"), "old/one");
});

test("the value can be set and cleared by scripts", async (t) => {
  const uploader = await open(t, article("multiple"));
  await uploader.set("value", ["a/b", "c d"]);
  await uploader.element.evaluate((element) => element.setAttribute("preview-url", "/pictures/{id}"));
  assert.deepEqual(await uploader.get("value"), ["a/b", "c d"]);
  assert.deepEqual(fieldsOf(await submit(uploader)).slice(0, 2), [["pictures", "a/b"], ["pictures", "c d"]]);
});

test("pictures that are there already are shown from where the page says", async (t) => {
  const uploader = await open(t, article(`multiple value='["a/b","c d"]' preview-url="/pictures/{id}/thumbnail"`));
  const shown = [];
  await uploader.page.route("**/pictures/**", (route) => {
    shown.push(new URL(route.request().url()).pathname);
    return route.fulfill({ contentType: "image/png", body: fixture("graphic.png").buffer });
  });
  await uploader.page.reload();
  await uploader.element.locator("[part=preview] img").nth(1).waitFor();
  assert.deepEqual(shown.sort(), ["/pictures/a/b/thumbnail", "/pictures/c%20d/thumbnail"]);
});

test("a disabled field takes nothing and is not sent", async (t) => {
  const uploader = await open(t, article('disabled value="old/one"'));
  assert.equal(await uploader.zone.isDisabled(), true);
  assert.equal(await uploader.button("Remove Stored image").isDisabled(), true);
  await uploader.zone.dispatchEvent("drop", { dataTransfer: await uploader.transfer(fixture("photo.jpg")) });
  assert.equal((await uploader.get("files")).length, 1);
  assert.deepEqual(fieldsOf(await submit(uploader)), [["save", "yes"]]);
});

test("files can wait until the form is sent", async (t) => {
  const uploader = await open(t, article('multiple auto="false"'));
  await uploader.pick(fixture("photo.jpg"), fixture("graphic.png"));
  await uploader.until("waiting", 2);
  assert.deepEqual(site.asked, []);
  const fields = fieldsOf(await submit(uploader));
  assert.deepEqual(fields.map(([name]) => name), ["pictures", "pictures", "save"]);
  await untilUploaded(fields[0][1]);
});

test("a form that does not ask for validity waits for uploads, too", async (t) => {
  const uploader = await open(t, article());
  await uploader.page.evaluate(() => (uploader.form.noValidate = true));
  await uploader.throttle({ kilobytes: 300 });
  await uploader.pick(noise("large.png", 300));
  await uploader.untilProgress(0);
  const fields = fieldsOf(await submit(uploader));
  assert.deepEqual(fields.map(([name]) => name), ["pictures", "save"]);
  await untilUploaded(fields[0][1]);
});

test("the form fragment uploads, and follows to where it leads", async (t) => {
  const uploader = await open(t, `${site.origin}/fragment.html`, { cookies: cookies(site.csrfToken).slice(0, 1) });
  await uploader.page.getByRole("button", { name: "Upload Image" }).click();
  assert.equal(await uploader.element.evaluate((element) => element.validity.valueMissing), true);
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("waiting");
  await uploader.page.context().addCookies(cookies(site.csrfToken));
  const button = uploader.page.getByRole("button", { name: "Upload Image" });
  await Promise.all([uploader.page.waitForURL("**/sent.html?from=fragment"), button.click()]);
  assert.deepEqual(site.forms, []);
  const id = uploader.uploads[0].url().split("/").pop();
  await untilUploaded(id);
});

test("files that were only just added go with the form", async (t) => {
  const uploader = await open(t, article());
  const sent = uploader.page.waitForURL("**/sent.html*");
  await uploader.element.evaluate((element, picture) => {
    element.form.noValidate = true;
    element.addFiles([new File([Uint8Array.from(picture)], "graphic.png", { type: "image/png" })]);
    element.form.requestSubmit();
  }, [...fixture("graphic.png").buffer]);
  await sent;
  assert.deepEqual(fieldsOf(site.forms.at(-1)).map(([name]) => name), ["pictures"]);
});

/** The requests for pages that a page makes; what it does in answer to an event is among them when this resolves. */
async function pagesAsked(page, act) {
  const pages = [];
  page.on("request", (request) => request.isNavigationRequest() && pages.push(request.url()));
  await act();
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  return pages;
}

for (const [what, next] of [["another site", "https://evil.example/"], ["a page of nobody", ""], ["nothing", null]]) {
  test(`the form fragment stays where it is when it leads to ${what}`, async (t) => {
    const uploader = await open(t, `${site.origin}/fragment.html`);
    await uploader.page.evaluate((next) => {
      const field = document.querySelector("[name=next]");
      if (next === null) field.remove();
      else field.value = next;
    }, next);
    await uploader.pick(fixture("photo.jpg"));
    await uploader.until("waiting");
    const pages = await pagesAsked(uploader.page, async () => {
      await uploader.page.getByRole("button", { name: "Upload Image" }).click();
      await uploader.until("uploaded");
    });
    assert.deepEqual(pages, []);
  });
}

test("the form fragment does not go on without the picture that was cancelled or cleared", async (t) => {
  const uploader = await open(t, `${site.origin}/fragment.html`);
  for (const end of ["cancel", "clear"]) {
    await uploader.throttle({ kilobytes: 100 });
    await uploader.pick(noise("large.png", 400));
    await uploader.until("waiting");
    const pages = await pagesAsked(uploader.page, async () => {
      await uploader.page.getByRole("button", { name: "Upload Image" }).click();
      await uploader.untilProgress(0);
      if (end === "cancel") {
        await uploader.button("Cancel large.png").click();
        await uploader.until("cancelled");
      } else await uploader.element.evaluate((element) => element.clear());
    });
    assert.deepEqual(pages, [], end);
    await uploader.element.evaluate((element) => element.clear());
  }
});

test("a page whose language is written wrong has its uploader all the same", async (t) => {
  const uploader = await open(t, article());
  await uploader.page.evaluate(() => (document.documentElement.lang = "en_US"));
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");
});

test("without JavaScript the form posts the file to the server's own endpoint", async (t) => {
  const uploader = await open(t, `${site.origin}/fragment.html`, { context: { javaScriptEnabled: false } });
  const fallback = uploader.page.locator("cfimages-upload > label > input");
  assert.equal(await fallback.isVisible(), true);
  await fallback.setInputFiles(fixture("photo.jpg"));
  const form = await submit(uploader);
  assert.equal(form.path, "/cloudflare-images/api/images/upload/");
  const sent = ["file", "photo.jpg", fixture("photo.jpg").buffer.length];
  const expected = [["csrfmiddlewaretoken", site.formToken], ["next", "/sent.html?from=fragment"], sent];
  assert.deepEqual(fieldsOf(form), expected);
  const { searchParams } = new URL(uploader.page.url());
  assert.equal(searchParams.get("from"), "fragment");
  assert.equal((await getImage(searchParams.get("image"))).status, "uploaded");
});
