// A command in a container, and a terminal for it: what `kubectl exec -it` does.

import { getText, Refusal } from "./api.js";
import { field, h, refusals } from "./dom.js";
import { isText, listen } from "./keys.js";
import { atEnd, containers, isPod, teller } from "./pods.js";
import { Screen } from "./screen.js";
import { socket } from "./streams.js";

const PROTOCOL = "v5.channel.k8s.io";
const [STDIN, STDOUT, ERROR, RESIZE] = [0, 1, 3, 4];
const SHOWN = 30;
const WIDE = 100;
const NO_UPGRADE = "Upgrade request required";
const HELP = "Shift+Tab leaves the terminal; Tab, Escape and the keys with Ctrl go to the program, as far as the browser lets them. "
  + "Colours are left out. Programs that draw on the whole screen, such as vi or less, need kubectl exec.";

function statusOf(text, code) {
  try {
    return JSON.parse(text);
  } catch {
    return { reason: "Disconnected", message: text || `The connection was closed, code ${code}` };
  }
}

export const terminal = {
  name: "terminal",
  title: "Terminal",
  writes: true,
  needs: () => ({ verb: "create", subresource: "exec" }),
  applies: isPod,
  open: (subject) => new Terminal(subject).root,
};

class Terminal {
  constructor({ object: pod, path, context }) {
    this.path = path;
    this.container = containers(pod);
    this.command = h("input", { value: "sh", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true });
    this.button = h("button", { class: "primary", autofocus: true }, "Connect");
    const above = h("div");
    this.refuse = refusals(above);
    const [state, say] = teller();
    this.say = say;
    this.sheet = h("div", { class: "log", role: "log", tabindex: "0", "aria-label": `Output of ${pod.metadata.name}` });
    this.input = h("textarea", {
      "aria-label": "Terminal", "aria-describedby": "terminal-help", rows: "1",
      autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    });
    this.ruler = h("span", { class: "ruler", "aria-hidden": "true" }, "0".repeat(WIDE));
    this.root = h("div", {},
      h("form", { class: "filters", onsubmit: (event) => this.submit(event) },
        field("Container", this.container), field("Command", this.command), this.button),
      above, h("p", { class: "paging" }, state),
      h("div", { class: "terminal" }, this.ruler, this.sheet, this.input),
      h("p", { id: "terminal-help", class: "soft note" }, HELP));
    listen(this.input, (text) => {
      this.sheet.scrollTop = this.sheet.scrollHeight;
      this.send(STDIN, text);
    }, () => this.screen.brackets);
    // A text that is selected can be copied; a click, or typing, leads back to the program.
    this.sheet.addEventListener("click", () => getSelection().isCollapsed && this.input.focus());
    this.sheet.addEventListener("keydown", (event) => isText(event) && this.input.focus());
    this.sizes = new ResizeObserver(([{ contentRect }]) => {
      this.room = contentRect;
      this.fit();
    });
    this.sizes.observe(this.sheet);
    this.clear();
    context.signal.addEventListener("abort", () => this.stop());
  }

  stop() {
    this.sizes.disconnect();
    clearTimeout(this.drawing);
    if (this.socket) this.socket.close();
    this.socket = null;
  }

  // A command runs only once the user has asked for it here: an address in a link opens the dialog, and starts nothing.
  submit(event) {
    event.preventDefault();
    if (this.socket) this.socket.close();
    else this.connect();
  }

  connect() {
    const query = new URLSearchParams({ container: this.container.value, stdin: "true", stdout: "true", tty: "true" });
    for (const word of this.command.value.trim().split(/\s+/)) query.append("command", word);
    const path = `${this.path}/exec?${query}`;
    const opening = this.socket = socket(path, PROTOCOL);
    const mine = (act) => (event) => this.socket === opening && act(event);
    opening.binaryType = "arraybuffer";
    opening.onopen = mine(() => this.began());
    opening.onmessage = mine(({ data }) => this.receive(new Uint8Array(data)));
    opening.onclose = mine(({ code }) => this.ended(path, code));
    this.clear();
    this.refuse(null);
    this.say("busy", "Connecting …");
    this.button.textContent = "Disconnect";
    this.container.disabled = this.command.disabled = true;
  }

  clear() {
    this.screen = new Screen();
    this.decoder = new TextDecoder();
    this.opened = false;
    this.status = "";
    this.size = "";
    this.sheet.replaceChildren();
  }

  began() {
    this.opened = true;
    this.say("on", "Connected");
    this.fit();
    this.input.focus();
  }

  async ended(path, code) {
    const { opened, status, input } = this;
    this.socket = null;
    this.button.textContent = "Connect";
    this.container.disabled = this.command.disabled = false;
    if (document.activeElement === input) this.button.focus();
    if (opened) return this.tell(statusOf(status, code));
    this.say("off", "Refused");
    // A page does not learn why a WebSocket was refused; a plain request is refused for the same reason.
    try {
      await getText(path);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.message !== NO_UPGRADE) this.refuse(error);
      else this.say("off", "No WebSocket was opened; a proxy in between may not know them");
    }
  }

  // How the command has ended, by the Status of the error channel.
  tell(status) {
    const cause = ((status.details || {}).causes || []).find((one) => one.reason === "ExitCode");
    this.say("off", cause ? `Ended with exit code ${cause.message}` : "Ended");
    if (status.status !== "Success" && !cause) this.refuse(new Refusal(status.code || 0, status.reason || "Error", status.message, ""));
  }

  receive(data) {
    const bytes = data.subarray(1);
    if (data[0] === ERROR) this.status += new TextDecoder().decode(bytes);
    if (data[0] !== STDOUT || !bytes.length) return;
    this.screen.write(this.decoder.decode(bytes, { stream: true }));
    this.drawing ||= setTimeout(() => this.draw(), SHOWN);
  }

  send(channel, text) {
    if (!text || !this.opened || !this.socket) return;
    const bytes = new TextEncoder().encode(text);
    const message = new Uint8Array(bytes.length + 1);
    message[0] = channel;
    message.set(bytes, 1);
    this.socket.send(message);
  }

  // Tells the program how many characters there is room for.
  fit() {
    const { width, height } = this.ruler.getBoundingClientRect();
    if (!width || !this.room) return;
    const [Width, Height] = [this.room.width * WIDE / width, this.room.height / height].map((count) => Math.max(2, Math.floor(count)));
    Object.assign(this.screen, { columns: Width, rows: Height });
    const size = JSON.stringify({ Width, Height });
    if (size !== this.size && this.opened) this.send(RESIZE, this.size = size);
  }

  draw() {
    const { sheet, screen } = this;
    this.drawing = 0;
    atEnd(sheet, () => {
      for (let count = screen.dropped; count && sheet.firstChild; count -= 1) sheet.firstChild.remove();
      for (let row = screen.changed; row < screen.lines.length; row += 1) {
        this.fill(sheet.children[row] || sheet.appendChild(h("div")), row);
      }
    });
    screen.drawn();
    if (screen.whole && this.socket) this.say("on", "Connected. This program wants a whole screen, which is not here: use kubectl exec");
  }

  fill(element, row) {
    const { lines, column, columns } = this.screen, line = lines[row], at = Math.min(column, columns - 1);
    if (row !== this.screen.row) element.textContent = line;
    else element.replaceChildren(line.slice(0, at).padEnd(at), h("span", { class: "cursor" }, line[at] || " "), line.slice(at + 1));
  }
}
