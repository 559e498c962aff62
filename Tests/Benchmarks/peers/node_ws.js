// A pipe on a WebSocket with Debian's node-ws: recv | send | one, URL, and a file of CAs.
const fs = require("fs");
const WebSocket = require("ws");

const LIMIT = 1 << 16;
const NEWLINE = Buffer.from("\n");

const [mode, url, authorities] = process.argv.slice(2);
const socket = new WebSocket(url, {
  perMessageDeflate: false,
  ca: authorities && fs.readFileSync(authorities),
});
socket.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});

function receive() {
  let pieces = [];
  let size = 0;
  const flush = () => {
    if (size > 0) fs.writeSync(1, Buffer.concat(pieces, size));
    pieces = [];
    size = 0;
  };
  socket.on("message", (data) => {
    pieces.push(data, NEWLINE);
    size += data.length + 1;
    if (size >= LIMIT) flush();
  });
  socket.on("close", flush);
}

async function send() {
  let rest = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) socket.send(line);
    while (socket.bufferedAmount > LIMIT) await new Promise(setImmediate);
  }
  socket.close(1000);
}

function one() {
  socket.on("message", (data) => {
    fs.writeSync(1, `${data}\n`);
    socket.close(1000);
  });
  socket.send(fs.readFileSync(0, "utf8").split("\n")[0]);
}

if (mode === "recv") receive();
else socket.on("open", mode === "send" ? send : one);
