/** Files get in, or are refused. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { EMULATOR, untilUploaded } from "./support/backend.js";
import { file, fixture, noise } from "./support/pictures.js";
import { article, open, site } from "./support/stage.js";

test("a picked file is sent straight to Cloudflare, and recorded as uploaded", async (t) => {
  const uploader = await open(t, article());
  await uploader.pick(fixture("photo.jpg"));
  await uploader.until("uploaded");

  const id = await uploader.get("value");
  assert.equal((await untilUploaded(id)).filename, "photo.jpg");
  const [uploaded] = await uploader.events("uploaded");
  assert.equal(uploaded.id, id);
  assert.match(uploaded.response.variants[0], new RegExp(id));
  assert.deepEqual(await uploader.events("complete"), [{ name: "complete", ids: [id], failed: 0 }]);
  assert.deepEqual(await uploader.events("change"), [{ name: "change", value: id }]);
  assert.deepEqual(uploader.uploads.map((request) => new URL(request.url()).origin), [EMULATOR]);
});

test("the button opens the picker, and so does the label on the page", async (t) => {
  const uploader = await open(t, article("multiple"));
  for (const target of [uploader.zone, uploader.page.getByText("Pictures", { exact: true })]) {
    const [chooser] = await Promise.all([uploader.page.waitForEvent("filechooser"), target.click()]);
    assert.equal(chooser.isMultiple(), true);
  }
  assert.equal(await uploader.input.getAttribute("accept"), "image/jpeg,image/png,image/webp,image/gif");
});

test("dropped files are uploaded, and the zone shows that it takes them", async (t) => {
  const uploader = await open(t, article("multiple"));
  const files = ["photo.jpg", "graphic.png", "photo.webp", "animation.gif"].map((name) => fixture(name));
  const dataTransfer = await uploader.transfer(...files);
  const isDragging = () => uploader.element.evaluate((element) => element.shadowRoot.querySelector(".dragging") !== null);
  await uploader.zone.dispatchEvent("dragenter", { dataTransfer });
  assert.equal(await isDragging(), true);
  await uploader.zone.dispatchEvent("drop", { dataTransfer });
  assert.equal(await isDragging(), false);
  await uploader.until("uploaded", 4);
  for (const id of await uploader.get("value")) await untilUploaded(id);
});

test("a dragged text is not taken for a file", async (t) => {
  const uploader = await open(t, article());
  const dataTransfer = await uploader.page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.setData("text/plain", "words");
    return transfer;
  });
  await uploader.zone.dispatchEvent("dragenter", { dataTransfer });
  assert.equal(await uploader.element.evaluate((element) => element.shadowRoot.querySelector(".dragging")), null);
});

test("a picture of the clipboard is uploaded when it is pasted with the keyboard", async (t) => {
  const options = { permissions: ["clipboard-read", "clipboard-write"] };
  const uploader = await open(t, article("multiple"), { context: options });
  const bytes = [...fixture("graphic.png").buffer];
  await uploader.page.evaluate((bytes) => {
    const picture = new Blob([new Uint8Array(bytes)], { type: "image/png" });
    return navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
  }, bytes);
  await uploader.zone.focus();
  await uploader.page.keyboard.press("Control+V");
  await uploader.until("uploaded");
  await untilUploaded((await uploader.get("value"))[0]);
});

test("what is pasted elsewhere on the page is taken only where the element asks for it", async (t) => {
  const uploader = await open(t, article("multiple"));
  const paste = async (name) => {
    const clipboardData = await uploader.transfer(fixture("photo.jpg", name));
    await uploader.page.evaluate((clipboardData) => {
      document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, composed: true }));
    }, clipboardData);
  };
  await paste("ignored.jpg");
  await uploader.element.evaluate((element) => element.setAttribute("paste", "document"));
  await paste("taken.jpg");
  await uploader.until("uploaded");
  assert.deepEqual((await uploader.get("files")).map(({ name }) => name), ["taken.jpg"]);
});

test("files that Cloudflare would refuse are refused before anybody is asked for an upload URL", async (t) => {
  const uploader = await open(t, article('multiple max-size="100kB"'));
  const wrongType = "This is not a JPEG, PNG, WebP, or GIF file.";
  const cases = [
    [noise("large.png", 200), "too-large", "The file is larger than 100 kB."],
    [fixture("not-an-image.jpg"), "wrong-type", wrongType],
    [file("page.svg.png", Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>")), "wrong-type", wrongType],
    [fixture("empty.png"), "empty", "The file is empty."],
  ];
  await uploader.pick(...cases.map(([file]) => file));
  await uploader.until("failed", cases.length);
  for (const [{ name }, code, message] of cases) {
    const told = (await uploader.events("error")).filter((event) => event.file === name);
    assert.deepEqual(told, [{ name: "error", file: name, code, message }]);
    assert.match(await uploader.item(name).textContent(), new RegExp(message));
    assert.equal(await uploader.button(`Try ${name} again`).isVisible(), false);
  }
  assert.deepEqual([site.asked, uploader.uploads], [[], []]);
});

test("the limit of the size is exact", async (t) => {
  const uploader = await open(t, article("multiple"));
  const { length } = fixture("photo.jpg").buffer;
  for (const [limit, state] of [[length, "uploaded"], [length - 1, "failed"]]) {
    await uploader.element.evaluate((element, limit) => element.setAttribute("max-size", limit), limit);
    await uploader.pick(fixture("photo.jpg"));
    await uploader.until(state);
  }
});

test("a picture whose name tells another type is sent as what it is", async (t) => {
  const uploader = await open(t, article());
  await uploader.pick(fixture("graphic.png", "graphic.jpg"));
  await uploader.until("uploaded");
  assert.equal((await untilUploaded(await uploader.get("value"))).filename, "graphic.jpg");
});

test("a picture that turns out to be damaged is not sent again", async (t) => {
  const uploader = await open(t, article());
  await uploader.pick(fixture("truncated.jpg"));
  await uploader.until("failed");
  const [error] = await uploader.events("error");
  assert.deepEqual([error.code, error.message], ["unreadable", "The picture is damaged or cannot be read."]);
  assert.equal(uploader.uploads.length, 1);
});

test("no more files are taken than may be", async (t) => {
  const uploader = await open(t, article('multiple max-files="2"'));
  await uploader.pick(fixture("photo.jpg", "a.jpg"), fixture("photo.jpg", "b.jpg"), fixture("photo.jpg", "c.jpg"));
  await uploader.until("uploaded", 2);
  assert.equal(await uploader.notice.textContent(), "Not added, because only 2 can be: c.jpg");
  assert.deepEqual((await uploader.events("error")).map(({ code, file }) => [code, file]), [["too-many", "c.jpg"]]);
  await uploader.button("Remove a.jpg").click();
  await uploader.pick(fixture("photo.jpg", "d.jpg"));
  await uploader.until("uploaded", 2);
  assert.equal(await uploader.notice.isVisible(), false);
});

test("where one picture is asked for, a new one takes its place, and a bad one does not", async (t) => {
  const uploader = await open(t, article('value="old/one"'));
  await uploader.pick(fixture("not-an-image.jpg"));
  await uploader.until("failed");
  assert.equal(await uploader.get("value"), "old/one");
  await uploader.pick(fixture("photo.jpg"));
  await uploader.page.waitForFunction(() => uploader.files.length === 1 && uploader.files[0].state === "uploaded");
  assert.equal(await uploader.get("value"), (await uploader.events("uploaded"))[0].id);
});

test("a page can leave files out", async (t) => {
  const uploader = await open(t, article("multiple"));
  await uploader.page.evaluate(() => {
    addEventListener("cfimages-add", (event) => event.detail.file.name === "no.jpg" && event.preventDefault());
  });
  await uploader.pick(fixture("photo.jpg", "no.jpg"), fixture("photo.jpg", "yes.jpg"));
  await uploader.until("uploaded");
  assert.deepEqual((await uploader.get("files")).map(({ name }) => name), ["yes.jpg"]);
});
