/** The service under test: the server's API, and the emulator's. */
import { readFileSync } from "node:fs";

export const { CFIMAGES, EMULATOR } = process.env;
export const credentials = JSON.parse(readFileSync(process.env.CREDENTIALS, "utf8"));

const authorization = `Token ${credentials.token}`;

/** Asks cfimages on behalf of the user. */
export function askServer(path, { headers, ...request } = {}) {
  return fetch(CFIMAGES + path, { ...request, headers: { ...headers, Authorization: authorization } });
}

/** Asks the API as an application's backend does; gives status and text. */
export async function askForUploadUrl(body = "{}") {
  const headers = { "Content-Type": "application/json" };
  const response = await askServer("/api/upload-url/", { method: "POST", headers, body });
  return { status: response.status, text: await response.text() };
}

/** The image with an id of Cloudflare, as the API tells it. */
export async function findImage(cloudflareId) {
  const response = await askServer(`/api/images/by-cloudflare-id/${encodeURIComponent(cloudflareId)}/`);
  if (!response.ok) throw new Error(`the API answers ${response.status} for ${cloudflareId}`);
  return response.json();
}

/** The image with a key, as the API tells it. */
export async function getImage(key) {
  const response = await askServer(`/api/images/${key}/`);
  if (!response.ok) throw new Error(`the API answers ${response.status} for ${key}`);
  return response.json();
}

/** Waits until the notification of the upload has arrived. */
export async function untilUploaded(cloudflareId) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const image = await findImage(cloudflareId);
    if (image.status === "uploaded") return image;
    if (Date.now() > deadline) throw new Error(`${cloudflareId} stays ${image.status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The image as Cloudflare has it. */
export async function storedImage(cloudflareId) {
  return (await (await askCloudflare("GET", cloudflareId)).json()).result;
}

/** Deletes a draft at Cloudflare, so that its upload URL is good for nothing, as one that has expired. */
export async function deleteDraft(cloudflareId) {
  await askCloudflare("DELETE", cloudflareId);
}

async function askCloudflare(method, cloudflareId) {
  const url = `${EMULATOR}/client/v4/accounts/${credentials.account_id}/images/v1/${encodeURIComponent(cloudflareId)}`;
  const response = await fetch(url, { method, headers: { Authorization: `Bearer ${credentials.api_token}` } });
  if (!response.ok) throw new Error(`the emulator answers ${response.status}`);
  return response;
}
