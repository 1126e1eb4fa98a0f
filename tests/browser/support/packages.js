/** The packages that `run.sh` has installed outside the source tree. */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.PACKAGES);

export const { chromium } = require("playwright-core");
export const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
