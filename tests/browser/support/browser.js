/** A Chromium, and what the tests do in it. */
import { chromium } from "./packages.js";

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: ARGUMENTS });
}

/** The element on a page. */
export class Uploader {
  constructor(page) {
    this.page = page;
    this.element = page.locator("cfimages-upload");
    this.zone = this.element.locator("[part=dropzone]");
    this.input = this.element.locator("input[type=file][hidden]");
    this.items = this.element.locator("[part=item]");
    this.notice = this.element.locator("[part=notice]");
    this.status = this.element.getByRole("status");
    /** The uploads that the page has begun. */
    this.uploads = [];
    page.on("request", (request) => isUpload(request) && this.uploads.push(request));
  }

  item(name) {
    return this.items.filter({ has: this.page.getByText(name, { exact: true }) });
  }

  button(label) {
    return this.element.getByRole("button", { name: label, exact: true });
  }

  async pick(...files) {
    await this.input.setInputFiles(files);
  }

  /** Files as a page has them when they are dropped or pasted. */
  transfer(...files) {
    const plain = files.map(({ buffer, ...file }) => ({ ...file, base64: buffer.toString("base64") }));
    return this.page.evaluateHandle((files) => {
      const transfer = new DataTransfer();
      for (const { name, mimeType, base64 } of files) {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: mimeType }));
      }
      return transfer;
    }, plain);
  }

  /** Waits until a file, or as many as are said, are in a state. */
  async until(state, count = 1) {
    await this.page.waitForFunction(
      ([state, count]) => document.querySelector("cfimages-upload").files.filter((file) => file.state === state).length === count,
      [state, count],
    );
  }

  /** Waits until more than a part of the first file is sent, and before the rest is. */
  async untilProgress(least) {
    await this.page.waitForFunction((least) => {
      const [file] = document.querySelector("cfimages-upload").files;
      return file?.progress > least && file.state === "uploading";
    }, least);
  }

  /** Slows the network down. `offline` cuts it off for whatever is new. */
  async throttle({ kilobytes, offline = false }) {
    this.network ??= await this.page.context().newCDPSession(this.page);
    const uploadThroughput = kilobytes ? kilobytes * 1024 : -1;
    await this.network.send("Network.enable");
    await this.network.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput });
  }

  /** The state of the element: `get("value")`, `get("files")`. */
  get(property) {
    return this.element.evaluate((element, property) => {
      const value = element[property];
      return property === "files" ? value.map(({ file, ...rest }) => rest) : value;
    }, property);
  }

  set(property, value) {
    return this.element.evaluate((element, [property, value]) => Object.assign(element, { [property]: value }), [property, value]);
  }

  /** What was told by events of a name. */
  events(name) {
    return this.page.evaluate((name) => events.filter((event) => event.name === name), name);
  }
}

function isUpload(request) {
  return request.method() === "POST" && /\/upload\/[^/]+\/[^/]+$/.test(request.url());
}
