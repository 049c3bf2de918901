// Answers that go on: texts that come piece by piece, watches, and WebSockets.

import { base, send, TABLE, token } from "./api.js";

const BEARER = "base64url.bearer.authorization.k8s.io.";

// The pieces of a text, as they come. A reader that stops ends the request.
export async function stream(path, options) {
  return pieces((await send(path, { accept: "text/plain, */*", ...options })).body);
}

async function* pieces(body) {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Calls `each` with every event of a watch, on tables by default, until the server ends it.
export async function watch(path, each, { signal, accept = TABLE }) {
  let rest = "";
  for await (const piece of await stream(path, { accept, signal })) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) each(JSON.parse(line));
  }
}

// A WebSocket to the server. Pages cannot give it a header, so the token goes along as a subprotocol.
export function socket(path, protocol) {
  const url = new URL(path.replace(/^\//, ""), base);
  url.protocol = url.protocol.replace("http", "ws");
  const bytes = String.fromCharCode(...new TextEncoder().encode(token()));
  const bearer = BEARER + btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return new WebSocket(url, token() ? [protocol, bearer] : [protocol]);
}
