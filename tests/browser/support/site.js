/**
 * The application whose pages use the uploader: a server of an origin of its own.
 *
 * - `GET /NAME.html` is a page of `pages/`, with `{{cfimages}}`, `{{attributes}}` and `{{form}}`, the upload form that cfimages writes,
 *   filled in.
 * - `POST .../upload-url/` asks cfimages for an upload URL, as an application's backend does. With a cookie `sessionid` it is a Django
 *   that wants its CSRF token in cookie and header.
 * - `POST /relay/...` passes an upload on to the emulator, and spoils what the test wants spoilt.
 * - `GET .../static/...` and `POST .../images/upload/` go on to cfimages, as a proxy in front of a site leads them. The forms are kept, too.
 * - every other POST is a form that is kept in `forms`.
 */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";

import { CFIMAGES, EMULATOR, askForUploadUrl, askServer } from "./backend.js";

const PAGES = new URL("../pages/", import.meta.url);
const CSRF_TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEF";
/** Where cfimages is, as seen from the site. */
const PREFIX = new URL(CFIMAGES).pathname;

export async function startSite() {
  const site = {
    /** Requests for upload URLs: `{headers, body}`. */
    asked: [],
    /** What forms have sent: `{path, type, body}`. */
    forms: [],
    /** Changes what is answered to a request for an upload URL: `(answer, number) => answer`. */
    change: (answer) => answer,
    /** How relayed uploads go wrong, one after the other: `lose` (the answer), `hang` (before there is one), or `{status, headers, body}`
     *  in place of Cloudflare's. */
    faults: [],
    csrfToken: CSRF_TOKEN,
  };
  const server = createServer((request, response) => {
    // On a connection that it has used before, a browser sends a request without an answer again by itself.
    response.shouldKeepAlive = false;
    answer(site, request, response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  site.origin = `http://127.0.0.1:${server.address().port}`;
  site.reset = () => Object.assign(site, { asked: [], forms: [], change: (answer) => answer, faults: [] });
  site.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return site;
}

async function answer(site, request, response) {
  const { pathname, searchParams } = new URL(request.url, site.origin);
  if (request.method === "GET" && pathname.startsWith(`${PREFIX}/static/`)) return passOn(request, undefined, response);
  if (request.method === "GET") return page(site, pathname, searchParams, response);
  const body = await read(request);
  if (pathname.endsWith("/upload-url/")) return uploadUrl(site, request, body, response);
  if (pathname.startsWith("/relay/")) return relay(site, request, body, pathname, response);
  site.forms.push({ path: pathname, type: request.headers["content-type"], body });
  if (pathname === `${PREFIX}/api/images/upload/`) return passOn(request, body, response);
  response.writeHead(303, { Location: "/sent.html" }).end();
}

/** Sends a request to cfimages, signed in, and its answer back. */
async function passOn(request, body, response) {
  const { accept, "content-type": type } = request.headers;
  const path = request.url.slice(PREFIX.length);
  const headers = { Accept: accept, ...(type && { "Content-Type": type }) };
  const answer = await askServer(path, { method: request.method, headers, body, redirect: "manual" });
  const kept = ["content-type", "location"].filter((name) => answer.headers.has(name));
  response.writeHead(answer.status, Object.fromEntries(kept.map((name) => [name, answer.headers.get(name)])));
  response.end(Buffer.from(await answer.arrayBuffer()));
}

/** The upload form as cfimages writes it for somebody with a cookie against forged requests, which scripts need not be able to read. */
async function uploadForm(site) {
  const next = encodeURIComponent("/sent.html?from=fragment");
  const answer = await askServer(`/api/html/upload-form/?next=${next}`, { headers: { Cookie: `csrftoken=${CSRF_TOKEN}` } });
  const html = await answer.text();
  site.formToken = /name="csrfmiddlewaretoken" value="([^"]+)"/.exec(html)[1];
  return html;
}

async function page(site, pathname, searchParams, response) {
  const name = /^\/([a-z-]+\.html)$/.exec(pathname)?.[1];
  const html = name && (await readFile(new URL(name, PAGES), "utf8").catch(() => null));
  if (!html) return response.writeHead(404).end();
  const form = name === "fragment.html" ? await uploadForm(site) : "";
  const headers = { "Content-Type": "text/html; charset=utf-8" };
  if (name === "strict.html") headers["Content-Security-Policy"] = strictPolicy();
  const attributes = searchParams.get("attributes") ?? "";
  response.writeHead(200, headers).end(html.replaceAll("{{cfimages}}", CFIMAGES).replaceAll("{{attributes}}", attributes).replaceAll("{{form}}", form));
}

function strictPolicy() {
  const { origin } = new URL(CFIMAGES);
  return [
    "default-src 'none'", `script-src ${origin} 'nonce-page'`, `connect-src 'self' ${EMULATOR}`, "img-src blob:", "style-src 'self'",
    "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
  ].join("; ");
}

async function uploadUrl(site, request, body, response) {
  site.asked.push({ headers: request.headers, body: body.toString() });
  if (request.headers.cookie?.includes("sessionid=")) {
    const tokens = [CSRF_TOKEN, site.formToken];
    const isGenuine = request.headers.cookie.includes(`csrftoken=${CSRF_TOKEN}`) && tokens.includes(request.headers["x-csrftoken"]);
    if (!isGenuine) return json(response, 403, { detail: "CSRF Failed: CSRF token missing." });
  }
  const { status, text } = await askForUploadUrl(body);
  const changed = await site.change(JSON.parse(text), site.asked.length);
  json(response, changed.status_code ?? status, changed);
}

function json(response, status, value) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

async function relay(site, request, body, pathname, response) {
  const fault = site.faults.shift();
  if (fault === "hang") return;
  if (fault?.status) return response.writeHead(fault.status, fault.headers).end(fault.body);
  const headers = { "Content-Type": request.headers["content-type"], Accept: request.headers.accept };
  const answer = await fetch(EMULATOR + pathname.slice("/relay".length), { method: "POST", headers, body });
  const text = await answer.text();
  if (fault === "lose") return request.socket.destroy();
  response.writeHead(answer.status, { "Content-Type": answer.headers.get("content-type") }).end(text);
}

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
