/* The upload page beyond HTML: files go straight to Cloudflare, and URLs are fetched one by one with a progress bar. */
import { UploadError } from "./cfimages-upload.js";

/** How many URLs are fetched at the same time. */
const CONCURRENCY = 3;

const form = document.getElementById("upload");
const uploader = form.querySelector("cfimages-upload");
const fetching = document.getElementById("fetching");

/** Sends what the form says of the pictures, and something more. */
function ask(endpoint, more, signal) {
  const fields = new URLSearchParams(more);
  for (const name of ["private", "creator", "metadata"]) {
    const value = new FormData(form).get(name);
    if (value) fields.set(name, value);
  }
  // htmx is told by an error that nobody is signed in any more, others by a redirect to a page.
  const headers = { Accept: "application/json", "HX-Request": "true", "X-CSRF-Token": form.elements.csrf.value };
  return fetch(endpoint, { method: "POST", headers, body: fields, signal });
}

async function answerOf(response) {
  if (response.status === 401) throw new UploadError("forbidden", "You are not signed in any more. Reload the page.");
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const retryable = response.status === 429 || response.status >= 500;
  throw new UploadError("refused", body?.error ?? `The server answers ${response.status}.`, { retryable });
}

uploader.getUploadUrl = async (file, { signal }) =>
  answerOf(await ask(form.dataset.urlEndpoint, { filename: file.name }, signal));

/** Adds a picture that is at Cloudflare to what the form tells the server. */
function add(id) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name: "image", value: id });
  form.append(field);
}

/** Has pictures fetched, some at a time; the URLs of those that were not. */
async function fetchAll(urls) {
  const [bar, text, failures] = fetching.children;
  const waiting = urls.values();
  const left = [];
  let done = 0;
  const tell = () => {
    Object.assign(bar, { max: urls.length, value: done });
    text.textContent = `${done} of ${urls.length} pictures fetched`;
  };
  const fail = (url, reason) => {
    left.push(url);
    const line = document.createElement("li");
    line.textContent = `${url}: ${reason}`;
    failures.append(line);
  };
  const work = async () => {
    for (const url of waiting) {
      try {
        add((await answerOf(await ask(form.dataset.fetchEndpoint, { url }))).cloudflare_id);
        done++;
        tell();
      } catch (error) {
        fail(url, error instanceof TypeError ? "The connection failed." : error.message);
      }
    }
  };
  failures.replaceChildren();
  tell();
  fetching.hidden = false;
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return left;
}

/* The element lets the form go once its files are at Cloudflare. URLs of which nothing came stay, to be tried again or removed. */
form.addEventListener("submit", async (event) => {
  const { urls } = form.elements;
  const asked = urls.value.split("\n").map((line) => line.trim()).filter(Boolean);
  if (!asked.length) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  const left = await fetchAll(asked);
  urls.value = left.join("\n");
  button.disabled = false;
  if (left.length) urls.focus();
  else form.submit();
});
