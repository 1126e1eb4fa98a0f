/** A line between the browser and the emulator that can be cut: a browser's own emulation lets go what is already on its way. */
import { connect, createServer } from "node:net";

import { EMULATOR } from "./backend.js";

export async function startLine() {
  const { hostname, port } = new URL(EMULATOR);
  const sockets = new Set();
  let isCut = false;
  const join = (socket, other) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket) && other.destroy());
    socket.on("error", () => {});
    socket.pipe(other);
  };
  const server = createServer((socket) => {
    if (isCut) return socket.destroy();
    const emulator = connect(port, hostname);
    join(socket, emulator);
    join(emulator, socket);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    cut,
    mend: () => (isCut = false),
    stop: () => {
      cut();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
