/** Keeps the page up to date, copies what is to be copied, and uploads what is dropped. All but that works without it. */

/** Milliseconds between two looks at what has changed. */
const INTERVAL = 2000;
/** Milliseconds that a button says what it did. */
const SAID = 1500;
const SHORT = { dateStyle: "short", timeStyle: "short" };
/** The parts of the page that change. */
const PARTS = ["picture-count", "pictures", "pages", "draft-count", "drafts", "requests", "notifications"];

const byId = (id) => document.getElementById(id);
const announce = (text) => (byId("announcement").textContent = text);

/* Times are the reader's. */

function localize(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.title = time.dateTime;
    time.textContent = time.dataset.with === "date" ? at.toLocaleString([], SHORT) : at.toLocaleTimeString();
  }
}

/* Copying */

async function copy(button) {
  const source = byId(button.dataset.copy);
  const isCopied = await write(source);
  const { label = button.textContent } = button.dataset;
  button.dataset.label = label;
  button.textContent = isCopied ? "Copied" : "Selected";
  button.classList.toggle("done", isCopied);
  announce(isCopied ? "Copied." : "Selected, to be copied with the keyboard.");
  setTimeout(() => {
    button.textContent = label;
    button.classList.remove("done");
  }, SAID);
}

/** The clipboard is for pages of this machine and encrypted ones; elsewhere the text is selected, and copied where that works. */
async function write(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

/* What has changed */

/** Makes a part of the page what it is by now. What stays keeps its focus, its selection and its pictures. */
function renew(element, wanted) {
  if (element.isEqualNode(wanted) || (element.matches("time") && element.dateTime === wanted.dateTime)) return;
  for (const { name, value } of wanted.attributes) if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  for (const { name } of [...element.attributes]) if (!wanted.hasAttribute(name) && name !== "title") element.removeAttribute(name);
  const known = new Map([...element.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = element.firstChild;
  for (const child of [...wanted.childNodes]) {
    const same = child.id ? known.get(child.id) : isLike(place, child) ? place : null;
    if (!same) {
      if (child instanceof Element) localize(child);
      element.insertBefore(child, place);
      continue;
    }
    if (same === place) place = place.nextSibling;
    else element.insertBefore(same, place);
    if (same instanceof Element) renew(same, child);
    else if (same.data !== child.data) same.data = child.data;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function isLike(node, other) {
  return node !== null && !node.id && node.nodeName === other.nodeName && node.className === other.className;
}

async function look() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(response.statusText);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of PARTS) renew(byId(id), page.getElementById(id));
}

/* Looking again and again */

const live = { isPaused: false, timer: 0, looking: null };

function show(kind, text) {
  const state = byId("live-state");
  if (state.textContent !== text) state.textContent = text;
  state.dataset.kind = kind;
}

/** Looks now, and then again after a while; never twice at once. */
function refresh() {
  clearTimeout(live.timer);
  live.looking ??= look()
    .then(
      () => show(live.isPaused ? "open" : "good", live.isPaused ? "Paused" : "Live"),
      () => show("bad", "No answer"),
    )
    .finally(() => {
      live.looking = null;
      schedule();
    });
  return live.looking;
}

function schedule() {
  clearTimeout(live.timer);
  if (!live.isPaused && !document.hidden) live.timer = setTimeout(refresh, INTERVAL);
}

function startLive() {
  const button = byId("live-switch");
  button.addEventListener("click", () => {
    live.isPaused = !live.isPaused;
    button.setAttribute("aria-pressed", live.isPaused);
    if (live.isPaused) {
      clearTimeout(live.timer);
      show("open", "Paused");
    } else {
      refresh();
    }
  });
  document.addEventListener("visibilitychange", () => (document.hidden || live.isPaused ? clearTimeout(live.timer) : refresh()));
  schedule();
}

/* Uploads */

function startUploads(form) {
  const input = form.elements.file;
  input.multiple = true;
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    uploadAll(form, files);
  });
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  form.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", (event) => form.contains(event.relatedTarget) || form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    form.classList.remove("over");
    if (!hasFiles(event)) return;
    event.preventDefault();
    uploadAll(form, [...event.dataTransfer.files]);
  });
  // Next to the form, a file would take the place of the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => hasFiles(event) && event.preventDefault());
}

async function uploadAll(form, files) {
  const problems = byId("upload-problems");
  problems.replaceChildren();
  problems.hidden = true;
  let done = 0;
  for (const file of files) {
    announce(`Uploading ${file.name}.`);
    const problem = await upload(form, file);
    if (problem === null) {
      done += 1;
    } else {
      const line = document.createElement("li");
      line.textContent = `${file.name}: ${problem}`;
      problems.append(line);
      problems.hidden = false;
    }
  }
  await live.looking;
  await refresh();
  const failed = [...problems.children].map((line) => line.textContent).join(" ");
  announce(`${done} of ${files.length} uploaded. ${failed}`);
}

/** Uploads a file; answers what is wrong with it, or null. */
async function upload(form, file) {
  const body = new FormData(form);
  body.set("file", file);
  try {
    const response = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body });
    if (response.ok) return null;
    const text = await response.text();
    return response.headers.get("Content-Type") === "application/json" ? JSON.parse(text).errors[0].message : text;
  } catch {
    return "The emulator did not answer.";
  }
}

localize(document);
if (byId("live-switch")) startLive();
if (byId("upload")) startUploads(byId("upload"));
