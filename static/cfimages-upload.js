/**
 * `<cfimages-upload>`: sends pictures from the browser straight to Cloudflare Images, and carries their ids in a form.
 *
 *     <script type="module" src="/cloudflare-images/static/cfimages-upload.js"></script>
 *     <cfimages-upload name="photos" multiple><input type="file" name="file"></cfimages-upload>
 *
 * What is inside the element is shown to browsers without JavaScript, and takes no part in the form otherwise.
 *
 * | attribute | meaning (default) |
 * | --- | --- |
 * | `name` | name of the form field; each uploaded picture submits its Cloudflare id under it |
 * | `value` | an id that is there already; with `multiple` a JSON array of ids |
 * | `preview-url` | where pictures of `value` are shown from, `{id}` standing for the id |
 * | `multiple`, `max-files` | several pictures; how many at most |
 * | `required`, `disabled` | as for other form fields |
 * | `accept` | types separated by commas (`image/jpeg,image/png,image/webp,image/gif`); also known: `image/heic`, `image/avif`, `image/svg+xml` |
 * | `max-size` | largest file: bytes, or with a unit such as `10MB` or `5MiB` (`10MB`) |
 * | `endpoint` | where upload URLs come from (`../api/upload-url/`, seen from this module) |
 * | `metadata` | JSON object that is kept with the picture |
 * | `creator`, `require-signed-urls`, `expiry-minutes` | passed on to the endpoint where present |
 * | `csrf-cookie`, `csrf-header` | where Django's CSRF token is and goes (`csrftoken`, `X-CSRFToken`) |
 * | `token` | an API token, for demonstrations only: everybody who opens the page can read it |
 * | `auto` | `false`: files wait until the form is submitted or `upload()` is called |
 * | `concurrency`, `retries` | uploads at the same time (3); how often one is tried again (3) |
 * | `paste` | `document`: takes pictures that are pasted anywhere on the page, not only here |
 * | `preview` | `off`: shows no pictures of files, for pages whose policy forbids `blob:` pictures |
 * | `label` | what the field is called, where no `<label>` says it |
 * | `messages` | JSON object with texts that replace those of `CfImagesUpload.messages` |
 *
 * | property or method | |
 * | --- | --- |
 * | `getUploadUrl` | `async (file, {signal}) => ({upload_url, cloudflare_id, expires_at?})`; is asked in place of the endpoint |
 * | `value` | the id or `""`; with `multiple` an array of ids; may be set |
 * | `files` | a snapshot: `{file, name, size, type, state, progress, id, error}` each |
 * | `messages` | as the attribute |
 * | `addFiles(files)`, `pick()`, `upload()`, `clear()` | adds files; opens the picker; sends what waits and resolves when all is done; removes all |
 * | `form`, `labels`, `validity`, `validationMessage`, `willValidate`, `checkValidity()`, `reportValidity()` | as for other form fields |
 *
 * | event, all of them bubbling | `detail` |
 * | --- | --- |
 * | `cfimages-add` | `file`; cancelable: the file is then left out |
 * | `cfimages-progress` | `file`, `loaded`, `total` (bytes) |
 * | `cfimages-uploaded` | `file`, `id`, `response` (Cloudflare's answer, where it could be read) |
 * | `cfimages-error` | `file`, `code` (see `UploadError`), `message` |
 * | `cfimages-cancel`, `cfimages-remove` | `file` (`null` for a picture of `value`), `id` |
 * | `cfimages-complete` | `ids`, `failed` (a number); nothing is under way any more; cancelable where a page would follow |
 * | `change` | the value has changed |
 *
 * The look follows the page's `color-scheme`, the custom properties `--cfimages-*` at the top of the style sheet below, and
 * `::part(dropzone | hint | notice | list | item | preview | name | state | progress | button)`.
 */

const ENDPOINT = new URL("../api/upload-url/", import.meta.url).href;
const TYPES = {
  "image/jpeg": "JPEG",
  "image/png": "PNG",
  "image/webp": "WebP",
  "image/gif": "GIF",
  "image/heic": "HEIC",
  "image/avif": "AVIF",
  "image/svg+xml": "SVG",
};
/** Other names for them in `accept`. */
const ALIASES = {
  ".jpg": "image/jpeg", ".jpeg": "image/jpeg", "image/jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
  ".gif": "image/gif", ".heic": "image/heic", ".heif": "image/heic", "image/heif": "image/heic", ".avif": "image/avif",
  ".svg": "image/svg+xml",
};
/** HEIC is not among them: Safari then turns pictures of an iPhone into JPEG, which every browser can show. */
const DEFAULT_ACCEPT = "image/jpeg,image/png,image/webp,image/gif";
const SNIFFED_BYTES = 1024;

const REQUEST_TIMEOUT = 30_000;
/** Milliseconds without a sign of life after which a connection counts as lost. */
const STALL_TIMEOUT = 60_000;
const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;
const LONGEST_RETRY_AFTER = 300_000;
/** How often a new upload URL is asked for after Cloudflare did not take one. */
const FRESH_URLS = 2;

/** Cloudflare's numbers for files that it will never take. */
const FILE_ERRORS = { 5413: "too-large", 5443: "too-large", 7011: "too-large", 5455: "wrong-type", 9422: "unreadable" };
/** Cloudflare's numbers for uploads that were too slow, were aborted or broke. */
const TRANSIENT_ERRORS = [5408, 5433, 5450];

const MESSAGES = {
  pick: "Choose an image",
  pickSeveral: "Choose images",
  drop: "or drop or paste it here",
  dropSeveral: "or drop or paste them here",
  hint: "{types}, up to {size}",
  hintSeveral: "{types}, up to {size} each",
  required: "Required",
  stored: "Stored image",
  cancel: "Cancel {name}",
  remove: "Remove {name}",
  retry: "Try {name} again",
  progress: "Upload of {name}",
  checking: "Checking",
  waiting: "Ready to upload",
  queued: "Waiting",
  requesting: "Preparing",
  uploading: "{percent} sent",
  processing: "Finishing",
  retrying: "The connection broke, trying again",
  offline: "Waiting for the network",
  uploaded: "Uploaded",
  cancelled: "Cancelled",
  announceUploaded: "{name} uploaded.",
  announceFailed: "{name}: {message}",
  announceCancelled: "{name} cancelled.",
  announceRemoved: "{name} removed.",
  announceComplete: "All uploads have ended.",
  errorEmpty: "The file is empty.",
  errorTooLarge: "The file is larger than {size}.",
  errorTooLargeThere: "Cloudflare found the picture too large. {detail}",
  errorWrongType: "This is not a {types} file.",
  errorUnreadable: "The picture is damaged or cannot be read.",
  errorTooMany: "Not added, because only {max} can be: {names}",
  errorForbidden: "You may not upload here. Sign in again and retry. {detail}",
  errorRefused: "The upload was refused. {detail}",
  errorNetwork: "The connection failed. Check the network and retry.",
  errorConfiguration: "This page is not set up for uploads. {detail}",
  invalidRequired: "Choose an image.",
  invalidRunning: "Wait until the upload has ended.",
  invalidFailed: "{name} was not uploaded. Try it again or remove it.",
};

/** States in which something is under way. */
const RUNNING = ["checking", "queued", "requesting", "uploading", "processing", "retrying", "offline"];

const STYLE = `
:host {
  --_accent: var(--cfimages-accent, light-dark(#b4470b, #ff9b5c));
  --_surface: var(--cfimages-surface, light-dark(#ffffff, #1c2127));
  --_text: var(--cfimages-text, light-dark(#1f2328, #e7e9ec));
  --_muted: var(--cfimages-muted, light-dark(#5c6470, #9aa4b1));
  --_border: var(--cfimages-border, light-dark(#d5d2ca, #3a434d));
  --_danger: var(--cfimages-danger, light-dark(#b3261e, #ff8a80));
  --_success: var(--cfimages-success, light-dark(#1a7037, #6fdc8c));
  --_radius: var(--cfimages-radius, 14px);
  display: block;
  color: var(--_text);
  font: var(--cfimages-font, 1rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
button { font: inherit; color: inherit; cursor: pointer; }
button:disabled { cursor: not-allowed; opacity: 0.55; }
button:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }
svg { flex: none; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }

.dropzone {
  display: grid; grid-template-columns: auto 1fr; align-items: center; gap: 0.15rem 1rem;
  width: 100%; min-height: 6.5rem; padding: 1.25rem;
  text-align: start;
  background: var(--_surface); border: 2px dashed var(--_border); border-radius: var(--_radius);
  transition: border-color 0.15s, background-color 0.15s;
}
.dropzone:hover:enabled, .dragging .dropzone { border-color: var(--_accent); }
.dragging .dropzone { border-style: solid; background: color-mix(in srgb, var(--_accent) 9%, var(--_surface)); }
.badge {
  grid-row: span 2; display: grid; place-items: center; width: 3.25rem; height: 3.25rem; border-radius: 50%;
  color: var(--_accent); background: color-mix(in srgb, var(--_accent) 12%, var(--_surface));
}
.title { align-self: end; }
.title b { color: var(--_accent); font-weight: 600; text-decoration: underline; text-underline-offset: 0.2em; }
.hint { align-self: start; color: var(--_muted); font-size: 0.875em; }
.notice {
  margin: 0.6rem 0 0; padding: 0.6rem 0.85rem; overflow-wrap: anywhere; font-size: 0.9em;
  color: var(--_danger); background: var(--_surface); border: 1px solid currentColor; border-radius: calc(var(--_radius) - 4px);
}

.list { display: grid; gap: 0.5rem; margin: 0.6rem 0 0; padding: 0; list-style: none; }
.list:empty { display: none; }
.item {
  display: grid; grid-template-columns: 3.5rem minmax(0, 1fr) auto; align-items: center; gap: 0 0.85rem;
  min-height: 4.75rem; padding: 0.55rem 0.45rem 0.55rem 0.6rem;
  background: var(--_surface); border: 1px solid var(--_border); border-radius: var(--_radius);
}
.failed { border-color: var(--_danger); }
.preview {
  display: grid; place-items: center; width: 3.5rem; height: 3.5rem; overflow: hidden;
  color: var(--_muted); background: color-mix(in srgb, var(--_text) 7%, var(--_surface)); border-radius: calc(var(--_radius) - 5px);
}
.preview img { grid-area: 1 / 1; width: 100%; height: 100%; object-fit: cover; }
.preview svg { grid-area: 1 / 1; }
.name { display: block; overflow: hidden; font-weight: 550; text-overflow: ellipsis; white-space: nowrap; }
.state { display: block; color: var(--_muted); font-size: 0.875em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.failed .word { color: var(--_danger); }
.uploaded .word { color: var(--_success); }
.buttons { display: flex; }
.buttons button {
  display: grid; place-items: center; width: 2.75rem; height: 2.75rem; min-width: 44px; min-height: 44px; padding: 0;
  color: var(--_muted); background: none; border: 0; border-radius: calc(var(--_radius) - 4px);
}
.buttons button:hover:enabled { color: var(--_text); background: color-mix(in srgb, var(--_text) 8%, transparent); }
.failed .retry { color: var(--_accent); }
progress {
  appearance: none; display: block; width: 100%; height: 6px; margin-top: 0.4rem; overflow: hidden;
  background: color-mix(in srgb, var(--_text) 12%, var(--_surface)); border: 0; border-radius: 3px;
}
progress::-webkit-progress-bar { background: none; }
progress::-webkit-progress-value { background: var(--_accent); border-radius: 3px; transition: inline-size 0.2s linear; }
progress::-moz-progress-bar { background: var(--_accent); border-radius: 3px; }
.quiet { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

@media (max-width: 24rem) {
  .dropzone { padding: 1rem; gap: 0.15rem 0.75rem; }
  .item { grid-template-columns: 2.75rem minmax(0, 1fr) auto; gap: 0 0.6rem; }
  .preview { width: 2.75rem; height: 2.75rem; }
}
@media (hover: none) and (pointer: coarse) {
  .desktop { display: none; }
}
@media (prefers-reduced-motion: reduce) {
  .dropzone, progress::-webkit-progress-value { transition: none; }
}
@media (forced-colors: active) {
  .dropzone, .item { border-color: ButtonBorder; }
  .dragging .dropzone { border-color: Highlight; }
  progress { border: 1px solid CanvasText; forced-color-adjust: none; background: Canvas; }
  progress::-webkit-progress-value { background: Highlight; }
  progress::-moz-progress-bar { background: Highlight; }
}
`;

const ICONS = {
  upload: "M12 16V4m0 0L7 9m5-5l5 5M4 16v2.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V16",
  picture: "M4 5.5h16v13H4zM4 16l4.5-4.5 3.5 3.5 2.5-2.5L20 17M15.5 9.5h.01",
  close: "M6.5 6.5l11 11m0-11l-11 11",
  retry: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9m0-4.5V9H15",
};

/**
 * Why a file was not uploaded. Callbacks may throw it, too.
 *
 * `code` is one of `empty`, `too-large`, `wrong-type`, `unreadable`, `too-many`, `forbidden`, `refused`, `network`,
 * `configuration`.
 */
export class UploadError extends Error {
  /**
   * @param {string} code
   * @param {string} message for the person who uploads
   * @param {{retryable?: boolean, retryAfter?: number}} [how] whether it may work by itself soon; after how many milliseconds
   */
  constructor(code, message, { retryable = false, retryAfter } = {}) {
    super(message);
    this.name = "UploadError";
    Object.assign(this, { code, retryable, retryAfter });
  }

  /** Whether it is the file's fault, so that trying again makes no sense. */
  get isFinal() {
    return ["empty", "too-large", "wrong-type", "unreadable"].includes(this.code);
  }
}

/** Cloudflare does not take files at this URL (any more). */
class StaleUrl extends Error {}

/** `10MB` as bytes. */
function parseSize(text) {
  const [, number, unit] = /^\s*([\d.]+)\s*([kmg]i?)?b?\s*$/i.exec(text) ?? [];
  const [prefix = "", binary] = (unit ?? "").toLowerCase();
  return number > 0 ? number * (binary ? 1024 : 1000) ** " kmg".indexOf(prefix || " ") : NaN;
}

function formatSize(bytes, language) {
  const [divisor, unit] = bytes >= 1e6 ? [1e6, "megabyte"] : bytes >= 1e3 ? [1e3, "kilobyte"] : [1, "byte"];
  const unitDisplay = unit === "byte" ? "long" : "short";
  const format = { style: "unit", unit, unitDisplay, maximumFractionDigits: divisor === 1e6 ? 1 : 0 };
  return new Intl.NumberFormat(language, format).format(bytes / divisor);
}

/** Puts values into `{braces}`. */
function fill(text, valueOf) {
  return text.replace(/\{(\w+)\}/g, (braces, key) => valueOf(key) ?? braces).trim();
}

/** The type that the first bytes of a file tell, whatever its name says; `null` for what is no picture. */
async function sniffType(file) {
  const bytes = new Uint8Array(await file.slice(0, SNIFFED_BYTES).arrayBuffer());
  const ascii = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (ascii(0, 3) === "\xff\xd8\xff") return "image/jpeg";
  if (ascii(0, 8) === "\x89PNG\r\n\x1a\n") return "image/png";
  if (/^GIF8[79]a/.test(ascii(0, 6))) return "image/gif";
  if (ascii(0, 4) === "RIFF" && ascii(8, 12) === "WEBP") return "image/webp";
  if (ascii(4, 8) === "ftyp") {
    if (/^avi[fs]/.test(ascii(8, 12))) return "image/avif";
    return /^(hei[cxms]|hev[cxms]|mif1|msf1)/.test(ascii(8, 12)) ? "image/heic" : null;
  }
  const text = new TextDecoder().decode(bytes).trimStart();
  return /^(<\?xml[^>]*>\s*|<!--[^]*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]/i.test(text) ? "image/svg+xml" : null;
}

/** One sentence out of the body of an error, in the shapes of Django REST framework. */
function sentenceOf(body) {
  const say = (value) => {
    if (typeof value === "string") return value;
    if (Array.isArray(value)) return value.map(say).filter(Boolean).join(" ");
    if (!value || typeof value !== "object") return "";
    const whole = value.detail ?? value.error ?? value.message;
    if (typeof whole === "string") return whole;
    const field = ([name, problem]) => (name === "non_field_errors" ? say(problem) : `${name}: ${say(problem)}`);
    return Object.entries(value).map(field).join(" ");
  };
  return say(body).slice(0, 300);
}

/** Milliseconds of a `Retry-After`, in either form. */
function parseRetryAfter(text) {
  if (!text) return undefined;
  const delay = /^\d+$/.test(text.trim()) ? text * 1000 : Date.parse(text) - Date.now();
  return delay >= 0 ? delay : undefined;
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function readCookie(name) {
  const cookie = document.cookie.split("; ").find((cookie) => cookie.startsWith(`${name}=`));
  return cookie?.slice(name.length + 1);
}

/** Waits for an event of `window`, at most some milliseconds, unless it is aborted. */
async function waitFor(event, milliseconds, signal) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const end = new AbortController();
    const settle = (act) => () => {
      clearTimeout(timer);
      end.abort();
      act(signal.reason);
    };
    const timer = setTimeout(settle(resolve), milliseconds);
    window.addEventListener(event, settle(resolve), { signal: end.signal });
    signal.addEventListener("abort", settle(reject), { signal: end.signal });
  });
}

/** Makes an element without `innerHTML`, which a page's policy may forbid. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function icon(name, size = 22) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  for (const [key, value] of [["viewBox", "0 0 24 24"], ["width", size], ["height", size], ["aria-hidden", "true"]]) {
    svg.setAttribute(key, value);
  }
  svg.append(path);
  return svg;
}

/**
 * Posts a file to an upload URL. `XMLHttpRequest`, because `fetch` tells nothing of the progress. The type of the body is left
 * to the browser: Cloudflare allows no headers but those of a plain form.
 *
 * @returns {Promise<{status: number, body: any, code?: number, detail: string, retryAfter?: number}>} the answer; its `status` is 0
 *   where none came
 */
function postFile(url, file, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name || "image");
    const abort = () => request.abort();
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(abort, STALL_TIMEOUT);
    };
    request.upload.onprogress = ({ loaded, total }) => {
      alive();
      onProgress(loaded, total);
    };
    request.onloadend = () => {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", abort);
      if (signal.aborted) reject(signal.reason);
      else resolve(readAnswer(request));
    };
    signal.addEventListener("abort", abort);
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    alive();
    request.send(form);
  });
}

/** Errors come as JSON, or as `ERROR 5404: Image not found`. */
function readAnswer(request) {
  const body = parseJson(request.responseText);
  const [, number, text] = /^ERROR (\d{4}): (.*)/.exec(request.responseText) ?? [];
  const code = body?.errors?.[0]?.code ?? (number && Number(number));
  // Asking for a header that the answer does not show to this page would write an error to the console.
  const retryAfter = /^retry-after: *(.*)$/im.exec(request.getAllResponseHeaders())?.[1];
  const detail = body?.errors?.[0]?.message ?? text ?? "";
  return { status: request.status, body, code, detail, retryAfter: parseRetryAfter(retryAfter) };
}

/**
 * What an answer that is no success means.
 *
 * @param {(key: string, values?: object) => string} say
 */
function failureOf({ status, code, detail, retryAfter }, say) {
  const fault = FILE_ERRORS[code] ?? { 413: "too-large", 415: "wrong-type" }[status];
  if (fault === "too-large") return new UploadError(fault, say("errorTooLargeThere", { detail }));
  if (fault) return new UploadError(fault, say(fault === "wrong-type" ? "errorWrongType" : "errorUnreadable"));
  if (status < 400 || status >= 500 || status === 408 || status === 429 || TRANSIENT_ERRORS.includes(code)) {
    return new UploadError("network", say("errorNetwork"), { retryable: true, retryAfter });
  }
  return new StaleUrl(detail);
}

/**
 * Gets an upload URL from the endpoint.
 *
 * @param {{endpoint: URL, token: string | null, csrf: {header: string, token?: string}, fields: object}} settings
 */
async function requestUploadUrl({ endpoint, token, csrf, fields }, say, signal) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  if (token) headers.Authorization = `Token ${token}`;
  // Nobody else may learn the token.
  else if (csrf.token && endpoint.origin === location.origin) headers[csrf.header] = csrf.token;
  let response;
  let text;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers,
      body: JSON.stringify(fields),
      credentials: token ? "omit" : "same-origin",
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT)]),
    });
    text = await response.text();
  } catch {
    signal.throwIfAborted();
    throw new UploadError("network", say("errorNetwork"), { retryable: true });
  }
  const body = parseJson(text);
  if (response.ok && body) return body;
  const { status } = response;
  if (status === 429 || status >= 500) {
    const retryAfter = parseRetryAfter(response.headers.get("Retry-After"));
    throw new UploadError("network", sentenceOf(body) || say("errorNetwork"), { retryable: true, retryAfter });
  }
  const forbidden = status === 401 || status === 403;
  const message = say(forbidden ? "errorForbidden" : "errorRefused", { detail: sentenceOf(body) });
  throw new UploadError(forbidden ? "forbidden" : "refused", message);
}

/** One file on its way to Cloudflare, or a picture that is there already. Knows nothing of the page around it. */
class Transfer {
  state = "checking";
  loaded = 0;
  /** @type {UploadError | null} */
  error = null;
  response = null;
  /** What is sent: the file under its true type, which Cloudflare checks against the bytes. */
  body = null;
  /** @type {{href: string, id: string, deadline: number} | null} */
  #url = null;
  /** Whether something was sent to that URL before. */
  #wasSent = false;
  #abort = new AbortController();

  /**
   * @param {File | null} file
   * @param {string} id
   * @param {{getUrl: Function, say: Function, changed: Function, progressed: Function, retries: () => number}} owner
   */
  constructor(file, id, owner) {
    Object.assign(this, { file, id, owner });
    if (id) this.state = "uploaded";
  }

  get name() {
    return this.file?.name || this.owner.say("stored");
  }

  get isRunning() {
    return RUNNING.includes(this.state);
  }

  enter(state) {
    this.state = state;
    this.owner.changed(this);
  }

  fail(error) {
    this.error = error;
    this.enter("failed");
  }

  /** Ends what is under way. Nobody is told of what was running. */
  cancel() {
    this.#abort.abort();
    this.state = "cancelled";
  }

  /** Uploads the file, however often it takes. */
  async run() {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.error = null;
    try {
      const { id, response } = await this.#deliver(signal);
      if (signal.aborted) return;
      Object.assign(this, { id, response });
      this.enter("uploaded");
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  async #deliver(signal) {
    let retries = 0;
    let freshUrls = 0;
    for (;;) {
      try {
        if (!this.#url || this.#url.deadline <= Date.now()) await this.#ask(signal);
        return await this.#send(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof StaleUrl) {
          this.#url = null;
          if (freshUrls++ < FRESH_URLS) continue;
          throw new UploadError("refused", this.owner.say("errorRefused", { detail: error.message }));
        }
        // Without a network nothing is learnt from a failure.
        if (!error.retryable || (navigator.onLine && retries++ >= this.owner.retries())) throw error;
        await this.#pause(retries, error.retryAfter, signal);
      }
    }
  }

  async #ask(signal) {
    this.enter("requesting");
    const given = await this.owner.getUrl(this.file, signal);
    signal.throwIfAborted();
    const url = URL.parse(given?.upload_url);
    const id = given?.cloudflare_id;
    if (!/^https?:$/.test(url?.protocol) || typeof id !== "string" || !id) {
      const detail = "upload_url or cloudflare_id is missing.";
      throw new UploadError("configuration", this.owner.say("errorConfiguration", { detail }));
    }
    const expires = Date.parse(given.expires_at);
    // One that has ended already only says that the clock of this device is wrong.
    this.#url = { href: url.href, id, deadline: expires > Date.now() ? expires : Infinity };
    this.#wasSent = false;
  }

  async #send(signal) {
    const isRepeated = this.#wasSent;
    this.#wasSent = true;
    this.loaded = 0;
    this.enter("uploading");
    const onProgress = (loaded, total) => {
      this.loaded = total ? loaded / total : 0;
      if (loaded === total) this.state = "processing";
      this.owner.progressed(this, loaded, total);
    };
    const answer = await postFile(this.#url.href, this.body, { signal, onProgress });
    const image = answer.status === 200 && answer.body?.result;
    if (image?.id) return { id: image.id, response: image };
    // The picture is there: what got lost was the answer. At the first try it may as well be somebody else's picture.
    if (isRepeated && (answer.status === 409 || answer.code === 5409)) return { id: this.#url.id, response: null };
    throw failureOf(answer, this.owner.say);
  }

  /** Waits before the next try, longer each time, and not at the same moment as everybody else. */
  async #pause(retries, retryAfter = 0, signal) {
    if (navigator.onLine) {
      this.enter("retrying");
      const delay = Math.min(FIRST_DELAY * 2 ** (retries - 1), LONGEST_DELAY) * (0.5 + Math.random() / 2);
      await waitFor("online", Math.max(delay, Math.min(retryAfter, LONGEST_RETRY_AFTER)), signal);
    }
    if (!navigator.onLine) {
      this.enter("offline");
      // Some devices never say that they are back.
      await waitFor("online", LONGEST_DELAY, signal);
    }
  }
}

/** The line of one transfer in the list. */
class Row {
  #word = make("span", { class: "word" });
  #state = make("span", { class: "state", part: "state" });
  #progress = make("progress", { part: "progress", max: 1, value: 0 });
  #preview = make("span", { class: "preview", part: "preview" }, icon("picture", 26));

  /**
   * @param {{retry: Function, end: Function, say: Function, size: (bytes: number) => string, percent: (part: number) => string}} owner
   */
  constructor(transfer, previewUrl, owner) {
    Object.assign(this, { transfer, owner });
    this.retry = this.#button("retry", "retry", () => owner.retry(transfer));
    this.end = this.#button("end", "close", () => owner.end(transfer));
    const { name, file } = transfer;
    if (file) this.#state.append(owner.size(file.size), " · ");
    this.#state.append(this.#word);
    const text = make("span", {}, make("span", { class: "name", part: "name", title: name }, name), this.#state, this.#progress);
    this.element = make("li", { part: "item" }, this.#preview, text, make("span", { class: "buttons" }, this.retry, this.end));
    if (previewUrl) this.#show(previewUrl);
    this.update();
  }

  #button(name, picture, click) {
    return make("button", { type: "button", class: name, part: "button", click }, icon(picture));
  }

  /** Shows the picture of a file that was found to be one. */
  showFile() {
    const url = URL.createObjectURL(this.transfer.body);
    this.#show(url, () => URL.revokeObjectURL(url));
  }

  #show(url, release = () => {}) {
    const picture = make("img", { alt: "", decoding: "async" });
    const settled = (shown) => () => {
      release();
      if (shown) this.#preview.replaceChildren(picture);
    };
    picture.addEventListener("load", settled(true));
    picture.addEventListener("error", settled(false));
    picture.src = url;
  }

  update(isDisabled = false) {
    const { transfer, owner } = this;
    const { name, state, error, isRunning, loaded } = transfer;
    const percent = owner.percent(loaded);
    this.element.className = `item ${state}`;
    this.#word.textContent = error && state === "failed" ? error.message : owner.say(state, { percent });
    this.#progress.hidden = !isRunning || state === "checking";
    this.#progress.value = loaded;
    this.#progress.setAttribute("aria-label", owner.say("progress", { name }));
    this.retry.hidden = !(state === "cancelled" || (state === "failed" && !error.isFinal));
    this.#label(this.retry, owner.say("retry", { name }));
    this.#label(this.end, owner.say(isRunning ? "cancel" : "remove", { name }));
    this.retry.disabled = this.end.disabled = isDisabled;
  }

  #label(button, text) {
    button.title = text;
    button.setAttribute("aria-label", text);
  }
}

let styleSheet;

/** The element. See the top of this file. */
export class CfImagesUpload extends HTMLElement {
  static formAssociated = true;
  static observedAttributes = [
    "accept", "label", "max-files", "max-size", "messages", "multiple", "name", "preview-url", "required", "value",
  ];
  /** The texts of all elements; assign to it to translate a whole page. */
  static messages = { ...MESSAGES };

  #internals = this.attachInternals();
  /** @type {Map<Transfer, Row>} */
  #rows = new Map();
  #messages = {};
  #submitted = "[]";
  #isDisabled = false;
  /** Files that are being looked at. */
  #checks = new Set();
  #isBusy = false;
  /** Whether the page may go where the form leads. */
  #mayFollow = true;
  /** @type {HTMLFormElement | null} */
  #form = null;
  #announcements = [];
  #observer = new MutationObserver(() => this.#disableFallback());

  #input = make("input", { type: "file", hidden: true, tabindex: -1, change: () => this.#takeInput() });
  #choose = make("b");
  #drop = make("span", { class: "desktop" });
  #hint = make("span", { class: "hint", part: "hint" });
  #title = make("span", { class: "title" }, this.#choose, " ", this.#drop);
  #zone = make(
    "button",
    { type: "button", class: "dropzone", part: "dropzone", click: () => this.pick() },
    make("span", { class: "badge" }, icon("upload", 28)), this.#title, this.#hint,
  );
  #notice = make("p", { class: "notice", part: "notice", hidden: true });
  #list = make("ul", { class: "list", part: "list" });
  #status = make("div", { class: "quiet", role: "status" });
  #base = make("div", { role: "group" }, this.#zone, this.#input, this.#notice, this.#list, this.#status);

  /** What transfers and rows may ask of the element. */
  #owner = {
    say: (key, values) => this.#say(key, values),
    getUrl: (file, signal) => this.#getUrl(file, signal),
    changed: (transfer) => this.#changed(transfer),
    progressed: (transfer, loaded, total) => this.#progressed(transfer, loaded, total),
    retries: () => this.#number("retries", 3, 0),
    retry: (transfer) => this.#retry(transfer),
    end: (transfer) => this.#end(transfer),
    size: (bytes) => formatSize(bytes, this.#language),
    percent: (part) => new Intl.NumberFormat(this.#language, { style: "percent" }).format(part),
  };

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    if (!styleSheet) {
      styleSheet = new CSSStyleSheet();
      styleSheet.replaceSync(STYLE);
    }
    root.adoptedStyleSheets = [styleSheet];
    root.append(this.#base);
    this.#base.addEventListener("dragenter", (event) => this.#drag(event));
    this.#base.addEventListener("dragover", (event) => this.#drag(event));
    this.#base.addEventListener("dragleave", (event) => this.#isInside(event.relatedTarget) || this.#setDragging(false));
    this.#base.addEventListener("drop", (event) => this.#dropped(event));
    // A label of the page was clicked.
    this.addEventListener("click", (event) => event.composedPath()[0] === this && this.pick());
  }

  connectedCallback() {
    this.#observer.observe(this, { childList: true, subtree: true });
    this.#disableFallback();
    document.addEventListener("paste", this.#pasted);
    this.#render();
    // What a script has set before this module was there.
    for (const name of ["messages", "value"]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
    this.#sync(false);
  }

  disconnectedCallback() {
    this.#observer.disconnect();
    document.removeEventListener("paste", this.#pasted);
    // Frameworks move elements by taking them out and putting them in again.
    queueMicrotask(() => this.isConnected || this.#stop());
  }

  attributeChangedCallback(name, old, value) {
    // In whatever order they are set: `multiple` says how `value` is read, `preview-url` how it is shown.
    const isUntouched = this.hasAttribute("value") && this.#transfers.every(({ file }) => !file);
    const isConcerned = name === "value" ? old !== value : isUntouched && ["multiple", "preview-url"].includes(name);
    if (isConcerned) this.#setIds(this.#defaultIds);
    if (this.isConnected) {
      this.#render();
      this.#sync(false);
    }
  }

  formAssociatedCallback(form) {
    this.#form?.removeEventListener("submit", this.#submitting, true);
    this.#form = form;
    form?.addEventListener("submit", this.#submitting, true);
    if (this.isConnected) this.#sync(false);
  }

  formDisabledCallback(isDisabled) {
    this.#isDisabled = isDisabled;
    this.#render();
  }

  formResetCallback() {
    this.#setIds(this.#defaultIds);
  }

  formStateRestoreCallback(state) {
    const ids = parseJson(state);
    if (Array.isArray(ids)) this.#setIds(ids);
  }

  get form() { return this.#internals.form; }
  get labels() { return this.#internals.labels; }
  get validity() { return this.#internals.validity; }
  get validationMessage() { return this.#internals.validationMessage; }
  get willValidate() { return this.#internals.willValidate; }
  checkValidity() { return this.#internals.checkValidity(); }
  reportValidity() { return this.#internals.reportValidity(); }
  get type() { return "cfimages-upload"; }
  get name() { return this.getAttribute("name") ?? ""; }
  set name(name) { this.setAttribute("name", name); }
  get multiple() { return this.hasAttribute("multiple"); }
  set multiple(multiple) { this.toggleAttribute("multiple", multiple); }
  get required() { return this.hasAttribute("required"); }
  set required(required) { this.toggleAttribute("required", required); }
  get disabled() { return this.hasAttribute("disabled"); }
  set disabled(disabled) { this.toggleAttribute("disabled", disabled); }

  get value() {
    return this.multiple ? this.#ids : this.#ids[0] ?? "";
  }

  set value(value) {
    this.#setIds([value ?? []].flat().filter(Boolean).map(String));
  }

  get messages() {
    return { ...CfImagesUpload.messages, ...parseJson(this.getAttribute("messages")), ...this.#messages };
  }

  set messages(messages) {
    this.#messages = { ...messages };
    this.#render();
    this.#sync(false);
  }

  get files() {
    return this.#transfers.map(({ file, name, state, loaded, id, error }) => ({
      file, name, size: file?.size, type: file?.type, state, progress: state === "uploaded" ? 1 : loaded, id,
      error: error && { code: error.code, message: error.message },
    }));
  }

  /** Opens the browser's picker; needs a gesture of the user. */
  pick() {
    if (!this.#isDisabled) this.#input.click();
  }

  /** Adds files as if they had been picked. */
  addFiles(files) {
    if (this.#isDisabled) return;
    this.#tell("");
    const left = [];
    let room = this.#room;
    for (const file of files) {
      if (!this.#emit("cfimages-add", { file }, true)) continue;
      if (room-- > 0) this.#startCheck(this.#insert(file));
      else left.push(file);
    }
    this.#sync();
    if (left.length === 0) return;
    const names = left.map((file) => file.name).join(", ");
    const error = new UploadError("too-many", this.#say("errorTooMany", { max: this.#maxFiles, names }));
    for (const file of left) this.#emit("cfimages-error", { file, code: error.code, message: error.message });
    this.#tell(error.message);
  }

  /** Sends what waits, once it has been checked; resolves when nothing is under way any more. */
  async upload() {
    await Promise.all(this.#checks);
    for (const transfer of this.#transfers) if (transfer.state === "waiting") transfer.enter("queued");
    if (!this.#isBusy) return;
    await new Promise((resolve) => this.addEventListener("cfimages-complete", resolve, { once: true }));
  }

  /** Removes everything, and ends what is under way. */
  clear() {
    this.#setIds([]);
  }

  get #transfers() { return [...this.#rows.keys()]; }
  get #ids() { return this.#transfers.filter(({ state }) => state === "uploaded").map(({ id }) => id); }

  /** The language of the page; none where its tag is wrong, such as `en_US`, which `Intl` does not take. */
  get #language() {
    try {
      return Intl.getCanonicalLocales(this.closest("[lang]")?.lang)[0];
    } catch {
      return undefined;
    }
  }

  get #maxFiles() { return this.multiple ? this.#number("max-files", Infinity, 1) : 1; }
  get #maxSize() { return parseSize(this.getAttribute("max-size") ?? "") || 10_000_000; }
  get #endpoint() { return URL.parse(this.getAttribute("endpoint") ?? ENDPOINT, document.baseURI); }

  get #defaultIds() {
    const value = this.getAttribute("value");
    const ids = this.multiple ? parseJson(value) : null;
    return Array.isArray(ids) ? ids.map(String) : value ? [value] : [];
  }

  /** @returns {Set<string>} */
  get #types() {
    const names = (this.getAttribute("accept") || DEFAULT_ACCEPT).toLowerCase().split(",").map((name) => name.trim());
    return new Set(names.flatMap((name) => (name === "image/*" ? Object.keys(TYPES) : ALIASES[name] ?? (TYPES[name] ? name : []))));
  }

  get #typeLabels() {
    return new Intl.ListFormat(this.#language, { type: "disjunction" }).format([...this.#types].map((type) => TYPES[type]));
  }

  /** How many files may be added. A single new picture takes the place of the old one. */
  get #room() {
    if (!this.multiple) return 1;
    return this.#maxFiles - this.#transfers.filter(({ state }) => !["failed", "cancelled"].includes(state)).length;
  }

  /** The address of the server's own upload endpoint, if that is where the form goes: it takes files, and is there for browsers
   *  without JavaScript. The form's work is then done when the files have been uploaded. */
  get #standIn() {
    const action = this.#form?.getAttribute("action");
    const url = action ? URL.parse(action, document.baseURI) : null;
    const own = URL.parse("../images/upload/", this.#endpoint?.href);
    return url && url.origin === own?.origin && url.pathname === own.pathname ? url : null;
  }

  get #isAutomatic() {
    const auto = this.getAttribute("auto");
    return auto === null ? !this.#standIn : auto !== "false";
  }

  #number(name, otherwise, least) {
    const number = this.hasAttribute(name) ? Number(this.getAttribute(name)) : NaN;
    return Number.isInteger(number) && number >= least ? number : otherwise;
  }

  #say(key, values = {}) {
    const known = { types: () => this.#typeLabels, size: () => formatSize(this.#maxSize, this.#language) };
    return fill(this.messages[key] ?? key, (name) => values[name] ?? known[name]?.());
  }

  #emit(name, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(name, { detail, cancelable, bubbles: true, composed: true }));
  }

  #render() {
    const several = this.multiple ? "Several" : "";
    this.#choose.textContent = this.#say(`pick${several}`);
    this.#drop.textContent = this.#say(`drop${several}`);
    const hints = [this.required && this.#say("required"), this.#say(`hint${several}`)];
    this.#hint.textContent = hints.filter(Boolean).join(" · ");
    this.#zone.disabled = this.#isDisabled;
    this.#input.multiple = this.multiple;
    const extensions = Object.keys(ALIASES).filter((name) => ALIASES[name] === "image/heic" && this.#types.has("image/heic"));
    this.#input.accept = [...this.#types, ...extensions].join(",");
    const label = this.getAttribute("label") ?? [...this.labels].map((label) => label.textContent.trim()).join(" ");
    this.#base.setAttribute("aria-label", label || this.#choose.textContent);
    for (const row of this.#rows.values()) row.update(this.#isDisabled);
  }

  /** Fields for browsers without JavaScript would be sent a second time, and could not be filled in where they are required. */
  #disableFallback() {
    for (const field of this.querySelectorAll("input, select, textarea, button")) field.disabled = true;
  }

  #insert(file, id = "") {
    const transfer = new Transfer(file, id, this.#owner);
    const template = file ? "" : this.getAttribute("preview-url") ?? "";
    const row = new Row(transfer, template.replaceAll("{id}", id.split("/").map(encodeURIComponent).join("/")), this.#owner);
    this.#rows.set(transfer, row);
    this.#list.append(row.element);
    return transfer;
  }

  #startCheck(transfer) {
    const check = this.#check(transfer).finally(() => this.#checks.delete(check));
    this.#checks.add(check);
  }

  /** Finds out whether Cloudflare would take a file, before anybody is asked for an upload URL. */
  async #check(transfer) {
    const { file } = transfer;
    const refuse = (code, key) => transfer.fail(new UploadError(code, this.#say(key)));
    const type = await sniffType(file).catch(() => null);
    if (transfer.state !== "checking") return;
    if (!this.multiple) this.#makeWay(transfer, type);
    if (file.size === 0) return refuse("empty", "errorEmpty");
    if (!this.#types.has(type)) return refuse("wrong-type", "errorWrongType");
    if (file.size > this.#maxSize) return refuse("too-large", "errorTooLarge");
    transfer.body = file.type === type ? file : new File([file], file.name, { type, lastModified: file.lastModified });
    if (this.getAttribute("preview") !== "off") this.#rows.get(transfer).showFile();
    transfer.enter(this.#isAutomatic ? "queued" : "waiting");
  }

  /** @param {string | null} type what the new file is, as far as it is known here */
  #makeWay(newcomer, type) {
    const isGood = this.#types.has(type);
    for (const other of this.#transfers) if (other !== newcomer && (isGood || other.state === "failed")) this.#discard(other);
  }

  async #getUrl(file, signal) {
    if (typeof this.getUploadUrl === "function") return this.#askPage(file, signal);
    const refuse = (detail) => new UploadError("configuration", this.#say("errorConfiguration", { detail }));
    const endpoint = this.#endpoint;
    if (!endpoint) throw refuse("endpoint is no URL.");
    const fields = { filename: file.name.slice(0, 255) || undefined };
    if (this.hasAttribute("metadata")) {
      fields.metadata = parseJson(this.getAttribute("metadata"));
      if (!fields.metadata) throw refuse("metadata is not JSON.");
    }
    if (this.hasAttribute("creator")) fields.creator = this.getAttribute("creator");
    if (this.hasAttribute("require-signed-urls")) fields.require_signed_urls = this.getAttribute("require-signed-urls") !== "false";
    if (this.hasAttribute("expiry-minutes")) fields.expiry_minutes = Number(this.getAttribute("expiry-minutes"));
    const hidden = (this.#form ?? document).querySelector("input[name=csrfmiddlewaretoken]");
    const csrf = {
      header: this.getAttribute("csrf-header") || "X-CSRFToken",
      token: readCookie(this.getAttribute("csrf-cookie") || "csrftoken") ?? hidden?.value,
    };
    const settings = { endpoint, token: this.getAttribute("token"), csrf, fields };
    return requestUploadUrl(settings, this.#owner.say, signal);
  }

  async #askPage(file, signal) {
    try {
      return await this.getUploadUrl(file, { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UploadError) throw error;
      console.warn("cfimages-upload: getUploadUrl failed:", error);
      // That is what `fetch` throws where there is no network.
      if (error instanceof TypeError) throw new UploadError("network", this.#say("errorNetwork"), { retryable: true });
      throw new UploadError("refused", this.#say("errorRefused", { detail: error?.message ?? "" }));
    }
  }

  /** Starts the next file, if there is room. Each start is a change, so that one call leads to the next. */
  #pump() {
    const active = this.#transfers.filter(({ isRunning, state }) => isRunning && state !== "checking" && state !== "queued");
    const next = this.#transfers.find(({ state }) => state === "queued");
    if (next && active.length < this.#number("concurrency", 3, 1)) next.run();
  }

  #changed(transfer) {
    const row = this.#rows.get(transfer);
    if (!row) return;
    const { file, name, state, id, response, error } = transfer;
    row.update(this.#isDisabled);
    this.#isBusy ||= state === "queued";
    this.#pump();
    this.#sync();
    if (state === "uploaded") {
      this.#announce(this.#say("announceUploaded", { name }));
      this.#emit("cfimages-uploaded", { file, id, response });
    } else if (state === "failed") {
      this.#announce(this.#say("announceFailed", { name, message: error.message }));
      this.#emit("cfimages-error", { file, code: error.code, message: error.message });
    }
    this.#settle();
  }

  #progressed(transfer, loaded, total) {
    this.#rows.get(transfer)?.update(this.#isDisabled);
    this.#emit("cfimages-progress", { file: transfer.file, loaded, total });
  }

  #settle() {
    if (!this.#isBusy || this.#transfers.some(({ isRunning }) => isRunning)) return;
    this.#isBusy = false;
    if (this.#rows.size > 1) this.#announce(this.#say("announceComplete"));
    const failed = this.#transfers.filter(({ state }) => state === "failed").length;
    this.#mayFollow = this.#emit("cfimages-complete", { ids: this.#ids, failed }, true);
  }

  #retry(transfer) {
    const row = this.#rows.get(transfer);
    if (this.#room <= 0) return this.#tell(this.#say("errorTooMany", { max: this.#maxFiles, names: transfer.name }));
    this.#tell("");
    if (transfer.body) {
      transfer.loaded = 0;
      transfer.enter("queued");
    } else {
      transfer.enter("checking");
      this.#startCheck(transfer);
    }
    row.end.focus();
  }

  /** Cancels what is under way, and removes what is not. */
  #end(transfer) {
    const { file, name, id, isRunning } = transfer;
    if (isRunning) {
      transfer.cancel();
      this.#rows.get(transfer).update(this.#isDisabled);
    } else {
      this.#discard(transfer);
    }
    this.#announce(this.#say(isRunning ? "announceCancelled" : "announceRemoved", { name }));
    this.#pump();
    this.#sync();
    this.#emit(isRunning ? "cfimages-cancel" : "cfimages-remove", { file, id });
    this.#settle();
  }

  /** Takes a line away. The focus moves to its neighbour, or a keyboard would have to begin at the top of the page again. */
  #discard(transfer) {
    const row = this.#rows.get(transfer);
    const rows = [...this.#rows.values()];
    const place = rows.indexOf(row);
    const neighbour = rows[place + 1] ?? rows[place - 1];
    const hadFocus = row.element.contains(this.shadowRoot.activeElement);
    transfer.cancel();
    this.#rows.delete(transfer);
    row.element.remove();
    if (hadFocus) (neighbour?.end ?? this.#zone).focus();
  }

  #stop() {
    for (const [transfer, row] of this.#rows) {
      if (!transfer.isRunning) continue;
      transfer.cancel();
      row.update(this.#isDisabled);
    }
    this.#sync();
    this.#settle();
  }

  #setIds(ids) {
    for (const transfer of this.#transfers) this.#discard(transfer);
    this.#tell("");
    for (const id of this.multiple ? ids : ids.slice(0, 1)) this.#insert(null, id);
    this.#sync(false);
    this.#settle();
    // A form that waits for what is gone does not go on by itself.
    this.#mayFollow = false;
  }

  /** Hands value and validity to the form. */
  #sync(tells = true) {
    const ids = this.#ids;
    const state = JSON.stringify(ids);
    const form = new FormData();
    for (const id of ids) form.append(this.name, id);
    this.#internals.setFormValue(this.name && ids.length ? form : null, state);
    this.#validate();
    const changed = state !== this.#submitted;
    this.#submitted = state;
    if (changed && tells && this.isConnected) this.dispatchEvent(new Event("change", { bubbles: true }));
  }

  #validate() {
    const transfers = this.#transfers;
    const failed = transfers.find(({ state }) => state === "failed");
    const refuse = (flags, key) => this.#internals.setValidity(flags, this.#say(key, { name: failed?.name }), this.#zone);
    if (transfers.some(({ isRunning }) => isRunning)) refuse({ customError: true }, "invalidRunning");
    else if (failed) refuse({ customError: true }, "invalidFailed");
    else if ((this.required || this.#standIn) && !transfers.some(({ state }) => state === "uploaded" || state === "waiting")) {
      refuse({ valueMissing: true }, "invalidRequired");
    } else this.#internals.setValidity({});
  }

  /** Lets no form go before its files are there: those that wait, and all where it does not ask whether its fields are valid. */
  #submitting = async (event) => {
    const { submitter } = event;
    const form = this.#form;
    const standIn = this.#standIn;
    if (!standIn && !this.#transfers.some(({ state, isRunning }) => isRunning || state === "waiting")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.#mayFollow = true;
    await this.upload();
    if (!this.#mayFollow || !this.isConnected) return;
    const isMissing = standIn && this.#ids.length === 0;
    if (isMissing || this.#transfers.some(({ state }) => state === "failed")) return this.reportValidity();
    if (!standIn) return form.requestSubmit(submitter?.form === form ? submitter : null);
    const next = new FormData(form).get("next") || standIn.searchParams.get("next");
    const url = next ? URL.parse(next, document.baseURI) : null;
    if (url?.origin === location.origin) location.assign(url);
  };

  /** Pictures from the clipboard, but for those that come along with text into a field for text. */
  #pasted = (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const isMine = this.matches(":focus-within") || event.composedPath().includes(this);
    const isEditor = event.composedPath()[0].closest?.("input, textarea, [contenteditable]");
    if (!files.length || this.#isDisabled) return;
    if (!isMine && (this.getAttribute("paste") !== "document" || isEditor)) return;
    event.preventDefault();
    this.addFiles(files);
  };

  #takeInput() {
    const files = [...this.#input.files];
    // So that the same file can be picked again.
    this.#input.value = "";
    this.addFiles(files);
  }

  #isInside(node) {
    return node instanceof Node && this.#base.contains(node);
  }

  #drag(event) {
    if (this.#isDisabled || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    this.#setDragging(true);
  }

  #setDragging(isDragging) {
    this.#base.classList.toggle("dragging", isDragging);
  }

  #dropped(event) {
    this.#setDragging(false);
    if (this.#isDisabled || !event.dataTransfer?.files.length) return;
    event.preventDefault();
    this.addFiles([...event.dataTransfer.files]);
  }

  /** Says something that concerns no line of the list; nothing, to take it back. */
  #tell(text) {
    this.#notice.textContent = text;
    this.#notice.hidden = !text;
    if (text) this.#announce(text);
  }

  /** Tells screen readers. What comes close together is told together: a second change would cut the first one short. */
  #announce(text) {
    this.#announcements.push(text);
    if (this.#announcements.length > 1) return;
    setTimeout(() => {
      this.#status.textContent = this.#announcements.join(" ");
      this.#announcements = [];
    }, 300);
  }
}

if (!customElements.get("cfimages-upload")) customElements.define("cfimages-upload", CfImagesUpload);
