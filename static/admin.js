/* What the admin site does beyond HTML; every page works without it. */
"use strict";

/* A button with data-copy puts a text on the clipboard, and says so for a moment. Without a clipboard it stays hidden. */
const canCopy = Boolean(navigator.clipboard);
const showCopyButtons = (root) => {
  if (canCopy) for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
};

const announce = (text) => {
  const status = document.getElementById("announcements");
  if (status) status.textContent = text;
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("done");
    announce("Copied.");
    setTimeout(() => button.classList.remove("done"), 1500);
  } catch {
    announce("The text could not be copied.");
  }
});

/* Pictures that cannot be had give way to what is behind them. Error events do not bubble. */
const hideBroken = (image) => image.classList.add("broken");
document.addEventListener("error", (event) => event.target instanceof HTMLImageElement && hideBroken(event.target), true);
const findBroken = (root) => {
  for (const image of root.querySelectorAll("img")) if (image.complete && !image.naturalWidth && image.loading !== "lazy") hideBroken(image);
};

/* The size of a picture that was made on request is known when it is there. */
const tellSize = (image) => {
  const place = image.closest("figure")?.querySelector("[data-measure]");
  if (!place || !image.naturalWidth || image.dataset.measured) return;
  image.dataset.measured = "yes";
  place.prepend(`${image.naturalWidth} × ${image.naturalHeight} pixels. `);
};
document.addEventListener("load", ({ target }) => target instanceof HTMLImageElement && target.matches("[data-measured]") && tellSize(target), true);

/* Images that are chosen for an action: all of a page at once, and how many they are. */
const boxesOf = (form) => [...form.querySelectorAll('input[name="image"]')];
const showChosen = (form) => {
  const boxes = boxesOf(form);
  const chosen = boxes.filter((box) => box.checked).length;
  const all = form.querySelector("#choose-all input");
  all.checked = chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
  const text = form.querySelector("#chosen");
  text.textContent = chosen ? `${chosen} selected` : "";
  form.querySelector(".bulk-bar").classList.toggle("has-chosen", chosen > 0);
};
const prepareChoice = () => {
  const form = document.getElementById("bulk");
  if (!form) return;
  form.querySelector("#choose-all").hidden = false;
  showChosen(form);
};
document.addEventListener("change", ({ target }) => {
  const form = target.closest?.("#bulk");
  if (!form || target.type !== "checkbox") return;
  if (target.closest("#choose-all")) for (const box of boxesOf(form)) box.checked = target.checked;
  form.elements.scope.value = "chosen";
  showChosen(form);
});
/* A page that comes back from the browser's memory has its ticks, and no event tells of them. */
addEventListener("pageshow", prepareChoice);

const prepare = (root) => {
  showCopyButtons(root);
  findBroken(root);
  for (const image of root.querySelectorAll("[data-measured]")) tellSize(image);
  prepareChoice();
};
prepare(document);

/* What has the focus may be swapped away. It goes to the heading of what came then, not to the beginning of the page. */
let hadFocus = false;
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  hadFocus = document.activeElement !== document.body && detail.target.contains(document.activeElement);
});
const keepFocus = () => {
  const heading = document.querySelector("#results #count, #run h1");
  if (!hadFocus || !heading || document.activeElement !== document.body) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
};

document.addEventListener("htmx:afterSettle", () => {
  prepare(document);
  keepFocus();
  const news = document.querySelector("#count, #outcome-title, #result .notice, #run-live .notice")?.textContent ?? "";
  // What is renewed now and then says the same again and again.
  if (news !== document.getElementById("announcements")?.textContent) announce(news);
});

/* Filters that are not set have no place in the URL. */
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb !== "get") return;
  for (const [name, value] of [...detail.formData]) if (value === "") detail.formData.delete(name);
});

/* A form that could not be sent says so where it says other things; what was typed is still there. */
const sayFailure = (element) => {
  const status = element?.closest("form")?.querySelector('[role="status"]');
  if (!status) return;
  status.className = "problem";
  status.textContent = "The server did not do that. Try again in a moment.";
};

/* Where a part of a page cannot be had, the whole page says why; what is asked for now and then comes with the next time. */
for (const name of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(name, ({ detail }) => {
    if (detail.elt?.matches('[hx-trigger^="every"]')) return;
    if (detail.requestConfig?.verb === "get") location.assign(detail.pathInfo.finalRequestPath ?? detail.pathInfo.requestPath);
    else sayFailure(detail.elt);
  });
}

/* A field of JSON with data-json, the most bytes of it, says while one types what is wrong and where. The server decides. */
const placeOf = (message, text) => {
  const place = /line (\d+) column (\d+)/.exec(message);
  if (place) return `Line ${place[1]}, column ${place[2]}: `;
  const position = /position (\d+)/.exec(message);
  return position ? `Line ${text.slice(0, Number(position[1])).split("\n").length}: ` : "";
};

const judgeJson = (text, maxBytes) => {
  try {
    const value = JSON.parse(text);
    if (value === null || typeof value !== "object" || Array.isArray(value)) return { problem: "The metadata are to be an object: {...}." };
    const bytes = new TextEncoder().encode(JSON.stringify(value)).length;
    return bytes > maxBytes ? { problem: `${bytes} bytes are too many: ${maxBytes} are kept.` } : { praise: `Valid: ${bytes} of ${maxBytes} bytes.` };
  } catch ({ message }) {
    const what = message.replace(/^JSON\.parse: |^JSON Parse error: /, "").replace(/(?: in JSON)? at (?:line|position) .*$/, "");
    return { problem: `${placeOf(message, text)}${what}.` };
  }
};

let waiting;
document.addEventListener("input", ({ target }) => {
  if (!target.dataset?.json) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const { problem, praise } = judgeJson(target.value, Number(target.dataset.json));
    target.setAttribute("aria-invalid", String(Boolean(problem)));
    const said = document.getElementById(`${target.id}-said`);
    said.className = problem ? "problem" : "help";
    said.textContent = problem ?? praise;
  }, 250);
});
