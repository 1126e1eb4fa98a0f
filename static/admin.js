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

const prepare = (root) => {
  showCopyButtons(root);
  findBroken(root);
  for (const image of root.querySelectorAll("[data-measured]")) tellSize(image);
};
prepare(document);
document.addEventListener("htmx:afterSettle", () => {
  prepare(document);
  announce(document.getElementById("count")?.textContent ?? "");
});

/* Filters that are not set have no place in the URL. */
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb !== "get") return;
  for (const [name, value] of [...detail.formData]) if (value === "") detail.formData.delete(name);
});

/* Where a part of a page cannot be had, the whole page says why. */
for (const name of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(name, ({ detail }) => {
    if (detail.requestConfig?.verb === "get") location.assign(detail.pathInfo.finalRequestPath ?? detail.pathInfo.requestPath);
  });
}
