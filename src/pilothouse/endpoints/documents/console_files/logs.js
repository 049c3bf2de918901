// The log of a container: its last lines, and those that come.

import { Refusal } from "./api.js";
import { field, h, refusals } from "./dom.js";
import { Lines } from "./lines.js";
import { atEnd, containers, isPod, teller } from "./pods.js";
import { stream } from "./streams.js";

const MOST = 5000;
const TAILS = [100, 1000, MOST];
const SHOWN = 100;
const FEW = 10;

export const logs = {
  name: "logs",
  title: "Logs",
  needs: () => ({ verb: "get", subresource: "log" }),
  applies: isPod,
  open: (subject) => new Log(subject).root,
};

class Log {
  constructor({ object: pod, path, context }) {
    this.pod = pod;
    this.path = path;
    const again = { onchange: () => this.start() };
    this.container = containers(pod);
    this.container.addEventListener("change", again.onchange);
    this.tail = h("select", again, TAILS.map((count) => h("option", { value: count, selected: count === TAILS[1] }, count.toLocaleString("en"))));
    this.previous = h("input", { type: "checkbox", ...again });
    this.timestamps = h("input", { type: "checkbox", ...again });
    this.filter = h("input", { type: "search", autocomplete: "off", oninput: () => this.sift(this.sheet.children) });
    this.pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.hold(!this.resume) }, "Pause");
    const above = h("div");
    this.refuse = refusals(above);
    const [state, say] = teller();
    this.say = say;
    this.sheet = h("div", { class: "log", role: "log", tabindex: "0", "aria-label": `Log of ${pod.metadata.name}` });
    this.root = h("div", {},
      h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
        field("Container", this.container), field("Last lines", this.tail), field("Contains", this.filter),
        h("label", { class: "check" }, this.previous, " Previous"), h("label", { class: "check" }, this.timestamps, " Timestamps")),
      above,
      h("p", { class: "paging" }, this.pause, h("button", { type: "button", onclick: () => this.start() }, "Load again"), state),
      this.sheet,
      h("p", { class: "soft note" }, `The latest ${MOST.toLocaleString("en")} lines are kept. Colours are left out; other control characters are shown by signs.`));
    context.signal.addEventListener("abort", () => this.stop());
    this.start();
  }

  stop() {
    if (this.abort) this.abort.abort();
    clearTimeout(this.drawing);
    this.drawing = 0;
  }

  start() {
    this.stop();
    this.abort = new AbortController();
    this.fresh = [];
    this.lines = new Lines();
    this.sheet.replaceChildren();
    this.refuse(null);
    this.hold(false);
    this.run(this.abort.signal);
  }

  // While it is held, nothing more is read: the server waits, and no line is lost.
  hold(wanted) {
    this.pause.setAttribute("aria-pressed", String(wanted));
    this.pause.textContent = wanted ? "Paused" : "Pause";
    if (this.resume) this.resume();
    this.resume = null;
    if (wanted) this.held = new Promise((resolve) => (this.resume = resolve));
  }

  async run(signal) {
    this.say("busy", "Asking …");
    const query = { container: this.container.value, tailLines: this.tail.value };
    if (this.previous.checked) query.previous = "true";
    else query.follow = "true";
    if (this.timestamps.checked) query.timestamps = "true";
    try {
      const log = await stream(`${this.path}/log?${new URLSearchParams(query)}`, { signal });
      this.say("on", query.follow ? "Following" : "Reading");
      for await (const piece of log) {
        await this.held;
        if (signal.aborted) return;
        this.add(this.lines.add(piece));
      }
      const rest = this.lines.end();
      if (rest) this.add([rest]);
      this.say("off", this.pod.spec.nodeName ? "The log has ended" : "The pod is not on a node yet");
    } catch (error) {
      if (signal.aborted) return;
      const refused = error instanceof Refusal;
      if (refused) this.refuse(error);
      this.say("off", refused ? "Refused" : "The log was cut short");
    }
  }

  add(lines) {
    this.fresh = this.fresh.concat(lines);
    if (this.fresh.length > MOST) this.fresh = this.fresh.slice(-MOST);
    if (this.fresh.length) this.drawing ||= setTimeout(() => this.draw(), SHOWN);
  }

  draw() {
    const { sheet } = this;
    const made = this.fresh.map((line) => h("div", {}, line));
    this.fresh = [];
    this.drawing = 0;
    this.sift(made);
    sheet.setAttribute("aria-live", made.length > FEW ? "off" : "polite");  // nobody can listen to a flood
    atEnd(sheet, () => {
      sheet.append(...made);
      while (sheet.childElementCount > MOST) sheet.firstChild.remove();
    });
  }

  sift(lines) {
    const text = this.filter.value.trim().toLowerCase();
    for (const line of lines) line.hidden = !line.textContent.toLowerCase().includes(text);
  }
}
