/** Cloudflare's SDK for Node.js at the emulator: what its users do with images, through its own functions and types. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { test } from "node:test";

const { default: Cloudflare, toFile } = createRequire(process.env.PACKAGES)("cloudflare");

const { EMULATOR, ACCOUNT, TOKEN, HASH } = process.env;
const account = { account_id: ACCOUNT };
const photo = readFileSync(new URL("../fixtures/images/photo.jpg", import.meta.url));
// One pixel.
const dot = Buffer.from("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=", "base64");

const connect = (apiToken = TOKEN, options = {}) =>
  new Cloudflare({ apiToken, baseURL: `${EMULATOR}/client/v4`, ...options });
const api = connect();
const { v1, v2 } = api.images;

const jpeg = () => toFile(photo, "photo.jpg", { type: "image/jpeg" });
const gif = () => toFile(dot, "dot.gif", { type: "image/gif" });
const now = () => Math.floor(Date.now() / 1000);
/** The path of a delivery URL, which names Cloudflare's host. */
const atEmulator = (url) => new URL(url).pathname;

/** The answer to a delivery URL; its body is read, or its connection would stay open. */
async function delivered(path) {
  const answer = await fetch(EMULATOR + path);
  await answer.arrayBuffer();
  return answer;
}

function sign(path, key, expiresAt) {
  const text = `${path}?exp=${expiresAt}`;
  return `${text}&sig=${createHmac("sha256", key).update(text).digest("hex")}`;
}

/** A new image, which goes when the test does. */
async function upload(t, fields = {}) {
  const image = await v1.create({ ...account, file: await jpeg(), ...fields });
  t.after(() => forget(image.id));
  return image;
}

async function forget(id) {
  try {
    await v1.delete(id, account);
  } catch (error) {
    if (!(error instanceof Cloudflare.NotFoundError)) throw error;
  }
}

async function sendTo(uploadURL) {
  const form = new FormData();
  form.append("file", new Blob([photo], { type: "image/jpeg" }), "photo.jpg");
  const answer = await fetch(uploadURL, { method: "POST", body: form });
  return { status: answer.status, body: await answer.json() };
}

test("a file is uploaded, shown, delivered and deleted", async (t) => {
  const before = (await v1.stats.get(account)).count.current;
  const image = await upload(t, { metadata: JSON.stringify({ shelf: 7 }), creator: "user-7" });
  assert.deepEqual([image.filename, image.meta, image.creator], ["photo.jpg", { shelf: 7 }, "user-7"]);
  assert.ok(Math.abs(Date.now() - new Date(image.uploaded)) < 60_000);
  assert.equal(image.requireSignedURLs, false);
  assert.deepEqual(await v1.get(image.id, account), image);
  assert.equal((await v1.stats.get(account)).count.current, before + 1);
  const blob = await v1.blobs.get(image.id, account);
  assert.deepEqual(Buffer.from(await blob.arrayBuffer()), photo);
  assert.ok(image.variants.includes(`https://imagedelivery.net/${HASH}/${image.id}/public`));
  for (const variant of image.variants) {
    assert.equal((await delivered(atEmulator(variant))).headers.get("content-type"), "image/jpeg");
  }
  await v1.delete(image.id, account);
  await assert.rejects(v1.get(image.id, account), Cloudflare.NotFoundError);
});

test("an id of one's own may have slashes and spaces", async (t) => {
  const image = await upload(t, { id: "shop/42/a photo 100%.jpg" });
  assert.equal(image.id, "shop/42/a photo 100%.jpg");
  assert.deepEqual(await v1.get(image.id, account), image);
});

test("a picture elsewhere is uploaded by its URL", async (t) => {
  const source = await upload(t);
  const copy = await v1.create({ ...account, url: `${EMULATOR}/${HASH}/${source.id}/thumbnail` });
  t.after(() => forget(copy.id));
  assert.equal(copy.filename, "thumbnail");
});

test("a direct upload is a draft until the file comes", async (t) => {
  const expiry = new Date(Date.now() + 3_600_000).toISOString();
  const fields = { expiry, metadata: '{"a": 1}', requireSignedURLs: true };
  const draft = await v2.directUploads.create({ ...account, ...fields });
  t.after(() => forget(draft.id));
  assert.equal((await v1.get(draft.id, account)).draft, true);
  const answer = await sendTo(draft.uploadURL);
  assert.deepEqual([answer.status, answer.body.result.id], [200, draft.id]);
  const image = await v1.get(draft.id, account);
  assert.deepEqual([image.draft, image.meta, image.requireSignedURLs], [undefined, { a: 1 }, true]);
  assert.equal((await sendTo(draft.uploadURL)).status, 409);
  await forget((await v2.directUploads.create(account)).id);
});

test("lists have pages", async (t) => {
  const creator = "of-the-lists";
  const made = [];
  for (let at = 0; at < 23; at += 1) {
    made.push((await upload(t, { file: await gif(), creator, metadata: JSON.stringify({ at }) })).id);
  }
  for (const [sort_order, wanted] of [["asc", made], ["desc", made.toReversed()]]) {
    const found = [];
    let continuation_token;
    do {
      const page = await v2.list({ ...account, per_page: 10, sort_order, creator, continuation_token });
      found.push(...page.images.map((image) => image.id));
      continuation_token = page.continuation_token;
    } while (continuation_token);
    assert.deepEqual(found, wanted);
  }
  // The SDK looks for the pictures of a page where Cloudflare does not have them, so its own iteration finds none.
  const found = [];
  for (const page of [1, 2, 3, 4]) {
    found.push((await v1.list({ ...account, page, per_page: 10, creator })).result.images.map((image) => image.id));
  }
  assert.deepEqual(found.map((ids) => ids.length), [10, 10, 3, 0]);
  assert.deepEqual(found.flat(), made.toReversed());
  const query = { "meta.at[gte]": "20", "meta.at[lt]": "22", creator };
  const page = await v2.list(account, { query });
  assert.deepEqual(page.images.map((image) => image.id), [made[21], made[20]]);
});

test("an image is changed", async (t) => {
  const image = await upload(t, { metadata: '{"a": 1}', creator: "me" });
  let changed = await v1.edit(image.id, { ...account, metadata: { b: 2 } });
  assert.deepEqual([changed.id, changed.meta, changed.creator], [image.id, { b: 2 }, "me"]);
  changed = await v1.edit(image.id, { ...account, requireSignedURLs: true, creator: "you" });
  assert.deepEqual([changed.meta, changed.creator, changed.requireSignedURLs], [{ b: 2 }, "you", true]);
  assert.deepEqual(await v1.get(image.id, account), changed);
});

test("private pictures are delivered by the URLs that a key signed", async (t) => {
  const names = (await v1.keys.list(account)).keys.map((key) => key.name);
  const made = (await v1.keys.update("ofthesdk", account)).keys;
  assert.deepEqual(made.map((key) => key.name), [...names, "ofthesdk"]);
  const key = made.at(-1).value;
  const path = atEmulator((await upload(t, { requireSignedURLs: true })).variants[0]);
  assert.equal((await delivered(path)).status, 403);
  assert.equal((await delivered(sign(path, key, now() + 60))).status, 200);
  assert.equal((await delivered(sign(path, key, now() - 1))).status, 403);
  assert.equal((await delivered(sign(path, "another", now() + 60))).status, 403);
  const left = (await v1.keys.delete("ofthesdk", account)).keys;
  assert.deepEqual(left.map((key) => key.name), names);
  assert.equal((await delivered(sign(path, key, now() + 60))).status, 403);
});

test("variants are made, changed and deleted", async (t) => {
  const options = { fit: "cover", width: 20, height: 10, metadata: "none" };
  const fields = { id: "card", options, neverRequireSignedURLs: true };
  const made = await v1.variants.create({ ...account, ...fields });
  assert.deepEqual(made.variant, fields);
  assert.deepEqual(await v1.variants.get("card", account), made);
  assert.deepEqual((await v1.variants.list(account)).variants.card, fields);
  const path = `/${HASH}/${(await upload(t, { requireSignedURLs: true })).id}/card`;
  assert.equal((await delivered(path)).status, 200);
  const change = { options: { ...options, width: 30 }, neverRequireSignedURLs: false };
  const changed = await v1.variants.edit("card", { ...account, ...change });
  assert.deepEqual(changed.variant, { id: "card", ...change });
  assert.equal((await delivered(path)).status, 403);
  await v1.variants.delete("card", account);
  await assert.rejects(v1.variants.get("card", account), Cloudflare.NotFoundError);
});

/** A webhook, and what it is sent. */
async function startReceiver(t) {
  const received = [];
  const waiting = [];
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    const message = { secret: request.headers["cf-webhook-auth"], body: JSON.parse(Buffer.concat(chunks)) };
    const wanted = waiting.shift();
    if (wanted) wanted(message);
    else received.push(message);
    response.writeHead(204).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const next = () => received.shift() ?? new Promise((resolve) => waiting.push(resolve));
  return { url: `http://127.0.0.1:${server.address().port}/hook`, next };
}

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

test("destinations and policies tell of uploads", { timeout: 20_000 }, async (t) => {
  const { policies, destinations: { webhooks } } = api.alerting;
  const receiver = await startReceiver(t);
  const { id } = await webhooks.create({ ...account, name: "mine", url: receiver.url, secret: "hush" });
  const message = await receiver.next();
  assert.deepEqual([message.secret, Object.keys(message.body)], ["hush", ["text"]]);
  const shown = await webhooks.get(id, account);
  assert.deepEqual([shown.name, shown.url, shown.type, shown.secret], ["mine", receiver.url, "generic", undefined]);
  await webhooks.update(id, { ...account, name: "renamed", url: receiver.url });
  await receiver.next();
  assert.deepEqual((await all(webhooks.list(account))).map((webhook) => webhook.name), ["renamed"]);

  const fields = { name: "Uploads", alert_type: "image_notification", enabled: true, mechanisms: { webhooks: [{ id }] } };
  const policy = await policies.create({ ...account, ...fields });
  await policies.update(policy.id, { ...account, description: "of pictures" });
  const { name, description, mechanisms } = await policies.get(policy.id, account);
  assert.deepEqual([name, description, mechanisms], ["Uploads", "of pictures", fields.mechanisms]);
  assert.deepEqual((await all(policies.list(account))).map((policy) => policy.name), ["Uploads"]);

  const draft = await v2.directUploads.create(account);
  assert.equal((await sendTo(draft.uploadURL)).status, 200);
  const { secret, body } = await receiver.next();
  assert.deepEqual([secret, body.policy_id, body.alert_type], ["hush", policy.id, "image_notification"]);
  assert.ok(JSON.stringify(body.data).includes(draft.id));
  await forget(draft.id);

  await policies.delete(policy.id, account);
  await webhooks.delete(id, account);
  await assert.rejects(webhooks.get(id, account), Cloudflare.NotFoundError);
});

/** That a call fails with an error of a type, and one of Cloudflare's codes. */
const rejects = (call, type, code) =>
  assert.rejects(call, (error) => {
    assert.ok(error instanceof type, `${error}`);
    assert.deepEqual(error.errors.map((problem) => problem.code), [code]);
    return true;
  });

test("errors have types and codes", async (t) => {
  await rejects(v1.get("unknown", account), Cloudflare.NotFoundError, 5404);
  const file = await jpeg();
  await rejects(v1.create({ ...account, file, id: "mine", requireSignedURLs: true }), Cloudflare.BadRequestError, 5410);
  await upload(t, { id: "taken" });
  // 409 is tried again, as the SDK has it.
  const impatient = connect(TOKEN, { maxRetries: 0 }).images.v1;
  await rejects(impatient.create({ ...account, file: await jpeg(), id: "taken" }), Cloudflare.ConflictError, 5409);
  const text = await toFile(Buffer.from("text"), "a.txt", { type: "text/plain" });
  await rejects(v1.create({ ...account, file: text }), Cloudflare.APIError, 5455);
  await rejects(v1.get("x", { account_id: "0".repeat(32) }), Cloudflare.NotFoundError, 7003);
  await rejects(connect("wrong").images.v1.stats.get(account), Cloudflare.AuthenticationError, 10000);
  const reader = connect("reader").images.v1;
  await reader.stats.get(account);
  await rejects(reader.create({ ...account, file: await jpeg() }), Cloudflare.PermissionDeniedError, 10000);
});

/** Lets calls fail, and tells how often an operation was called since. */
function startFaults(t) {
  const control = async (method, body) => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answer = await fetch(`${EMULATOR}/_cfimages/faults`, { method, body, headers });
    return { status: answer.status, text: await answer.text() };
  };
  t.after(() => control("DELETE"));
  return {
    plan: async (...faults) => assert.equal((await control("PUT", JSON.stringify({ faults }))).status, 200),
    calls: async (operation) => JSON.parse((await control("GET")).text).calls[operation],
  };
}

test("too many requests are made again later", async (t) => {
  const faults = startFaults(t);
  const busy = { operation: "get_stats", kind: { error: { status: 429, retry_after: 1 } } };
  await faults.plan(busy);
  const started = performance.now();
  await v1.stats.get(account);
  assert.ok(performance.now() - started >= 1000);
  assert.equal(await faults.calls("get_stats"), 2);
  await faults.plan(busy);
  await rejects(connect(TOKEN, { maxRetries: 0 }).images.v1.stats.get(account), Cloudflare.RateLimitError, 971);
});

test("every answer tells what is left of the rate limit", async () => {
  const { response: { headers } } = await v1.stats.get(account).withResponse();
  assert.match(headers.get("ratelimit"), /^"default";r=\d+;t=\d+$/);
  assert.equal(headers.get("ratelimit-policy"), '"default";q=1200;w=300');
});

test("a failing server and a cut connection are tried again", async (t) => {
  const faults = startFaults(t);
  const broken = { operation: "get_stats", kind: { error: { status: 503 } } };
  await faults.plan(broken, { operation: "get_stats", kind: "cut" });
  await v1.stats.get(account);
  assert.equal(await faults.calls("get_stats"), 3);
  await faults.plan(broken);
  await rejects(connect(TOKEN, { maxRetries: 0 }).images.v1.stats.get(account), Cloudflare.InternalServerError, 5503);
});
