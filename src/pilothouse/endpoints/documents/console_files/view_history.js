// Changes of objects as the server has kept them: who changed what, the latest first, day by day.

import { groupResource, getJSON, kinds, pathOf, Refusal } from "./api.js";
import { field, h, refusals, Table } from "./dom.js";
import { clock } from "./format.js";
import { CHANGES, CLUSTER_CHANGES, isHidden, kindOf } from "./history.js";
import { plain } from "./lines.js";
import { linkTo } from "./relatives.js";
import { watch } from "./streams.js";
import { suggest } from "./view_objects.js";
export { open } from "./change.js";

export const name = "history";
export const title = "History";

const PAGE = 100;
const PATIENCE = 3000;
const REDRAWN = 5000;
const LASTING = [400, 401, 403, 404];  // refusals of which asking again changes nothing
const DAY = { weekday: "long", day: "numeric", month: "long", year: "numeric" };
const SELECTORS = { kind: "object.resource", name: "object.name", user: "user", path: "path" };

const keyOf = ({ metadata }) => `${metadata.namespace || ""}/${metadata.name}`;
const revision = ({ metadata }) => Number(metadata.resourceVersion);
const day = ({ time }) => new Date(time).toLocaleDateString("en-GB", DAY);

// What has changed in one line.
function summary(change) {
  if (!isHidden(change) || !change.fields.length) return plain(change.summary);
  const [first, ...more] = change.fields;
  return `${first.path}${more.length ? ` (+${more.length})` : ""}`;
}

// The changes of one resource: waiting are those that are known and not shown yet, next leads to the page after them.
class Source {
  constructor(kind, namespace, query, refuse, signal) {
    Object.assign(this, { kind, namespace, query, refuse, signal, waiting: [], next: null, version: "" });
  }

  path(parameters) {
    return `${pathOf(this.kind, this.namespace)}?${new URLSearchParams({ ...this.query, ...parameters })}`;
  }

  get empty() {
    return !this.waiting.length && this.next === "";
  }

  // Makes sure that the latest change that is not shown is known, if there is one.
  async fill() {
    while (!this.waiting.length && this.next !== "") {
      try {
        const { items, metadata } = await getJSON(this.path({ limit: PAGE, ...(this.next && { continue: this.next }) }), { signal: this.signal });
        this.version ||= metadata.resourceVersion;
        this.waiting = items;
        this.next = metadata.continue || "";
      } catch (error) {
        if (!(error instanceof Refusal) || !LASTING.includes(error.status)) throw error;
        this.refuse(error);
        this.next = "";
      }
    }
  }

  // Calls `each` with every change that comes, for as long as somebody looks.
  async follow(each) {
    while (this.version && !this.signal.aborted) {
      const pause = new Promise((resolve) => setTimeout(resolve, PATIENCE));
      await watch(this.path({ watch: "1", resourceVersion: this.version }), ({ type, object }) => {
        if (type === "ERROR") throw new Refusal(object.code, object.reason, object.message, "");
        if (type === "BOOKMARK") return;
        this.version = object.metadata.resourceVersion;
        each(object);
      }, { signal: this.signal, accept: "application/json" });
      await pause;
    }
  }
}

// The next changes of several sources, the latest first.
async function take(sources, count) {
  const out = [];
  while (out.length < count) {
    await Promise.all(sources.map((one) => one.fill()));
    const [first] = sources.filter((one) => one.waiting.length).sort((a, b) => revision(b.waiting[0]) - revision(a.waiting[0]));
    if (!first) break;
    out.push(first.waiting.shift());
  }
  return out;
}

// The changes of each day in a table of its own.
class Days {
  constructor(namespace, reveal) {
    this.columns = columns(namespace, reveal);
    this.made = new Map();
    this.root = h("div");
  }

  update(changes) {
    const days = new Map();
    for (const one of changes) {
      const label = day(one);
      if (!days.has(label)) days.set(label, []);
      days.get(label).push(one);
    }
    [...days].forEach(([label, rows], at) => {
      if (!this.made.has(label)) this.made.set(label, this.make(label));
      const { section, table } = this.made.get(label);
      if (this.root.children[at] !== section) this.root.insertBefore(section, this.root.children[at] || null);
      table.update(rows);
      table.flash = true;
    });
  }

  make(label) {
    const id = `day-${label.replace(/\W+/g, "-")}`;
    const table = new Table({ label: `Changes of ${label}`, columns: this.columns, key: keyOf });
    table.most = Infinity;
    return { table, section: h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, label), table.root) };
  }
}

function columns(namespace, reveal) {
  // A change never changes: its link is made once, so that it keeps the focus.
  const object = (cell, row) => cell.firstChild || cell.append(label(row));
  return [
    { title: "When", show: (row) => clock(Date.parse(row.time)) },
    { title: "Who", show: (row) => (row.user ? row.user.username : row.authorUnknown || "not known") },
    { title: "Verb", show: (row) => [row.verb || row.operation, row.subresource].filter(Boolean).join(" ") },
    ...(namespace ? [] : [{ title: "Namespace", show: (row) => row.object.namespace || "" }]),
    { title: "Object", paint: object },
    { title: "What changed", wide: true, show: summary, open: (row) => reveal(keyOf(row)) },
  ];
}

function label(change) {
  const { object } = change, kind = kindOf(change);
  return kind ? linkTo(kind, object.namespace, object.name) : `${object.resource} ${object.name}`;
}

export function show(root, context, settings) {
  const input = (key, attributes) => h("input", { type: "search", value: settings.get(key), autocomplete: "off", ...attributes });
  const inputs = {
    namespace: input("namespace", { list: "namespaces", placeholder: "all" }),
    kind: input("kind", { list: "resources", placeholder: "deployments.apps" }),
    name: input("name"),
    user: input("user"),
    path: input("path", { placeholder: ".spec.replicas" }),
    since: input("since", { placeholder: "24h, or a time" }),
  };
  const namespaces = h("datalist", { id: "namespaces" }), resources = h("datalist", { id: "resources" });
  const above = h("div"), place = h("div"), state = h("span", { class: "state" }), note = h("p", { class: "soft note" });
  const more = h("button", { type: "button", hidden: true }, "Show more");
  const refuse = refusals(above);
  let ending = new AbortController();

  const chosen = () => Object.fromEntries(Object.entries(inputs).map(([key, one]) => [key, one.value.trim()]));
  const say = (tone, text) => {
    state.dataset.state = tone;
    state.textContent = text;
  };

  // Lists anew, and follows what comes.
  async function run(signal) {
    const { namespace, since, ...fields } = chosen();
    const fieldSelector = Object.entries(fields).filter(([, value]) => value)
      .map(([key, value]) => `${SELECTORS[key]}=${value.replace(/[\\,=]/g, "\\$&")}`).join();
    const query = { ...(fieldSelector && { fieldSelector }), ...(since && { since }) };
    const sources = (namespace ? [CHANGES] : [CHANGES, CLUSTER_CHANGES]).map((kind) => new Source(kind, namespace, query, refuse, signal));
    const days = new Days(namespace, context.reveal);
    const rows = new Map();
    let come = 0;
    const draw = () => {
      if (context.paused() || signal.aborted) return;
      days.update([...rows.values()].sort((a, b) => revision(b) - revision(a)));
      if (come) context.announce(`History: ${come} more`);
      come = 0;
      note.textContent = rows.size ? "" : "No change is kept that fits.";
      more.hidden = sources.every((one) => one.empty);
    };
    const next = async () => {
      more.disabled = true;
      try {
        for (const one of await take(sources, PAGE)) rows.set(keyOf(one), one);
        draw();
      } finally {
        more.disabled = false;
      }
    };
    const redraw = setInterval(draw, REDRAWN);
    signal.addEventListener("abort", () => clearInterval(redraw));
    say("busy", "Listing …");
    more.onclick = () => next().catch((error) => fail(error, signal));
    await next();
    if (signal.aborted) return;
    place.replaceChildren(days.root);
    const known = sources.filter((one) => one.version);
    say(known.length ? "on" : "off", known.length ? "Live" : "Refused");
    await Promise.all(known.map((one) => one.follow((change) => {
      if (rows.has(keyOf(change))) return;
      rows.set(keyOf(change), change);
      come += 1;
      draw();
    })));
  }

  function fail(error, signal) {
    if (signal.aborted) return;
    say("off", "Cut short; it is asked for again");
    if (error instanceof Refusal) refuse(error);
    ending.abort();
    ending = new AbortController();
    const again = setTimeout(start, PATIENCE);
    ending.signal.addEventListener("abort", () => clearTimeout(again));
  }

  function start() {
    ending.abort();
    ending = new AbortController();
    const { signal } = ending;
    context.go("history", chosen(), { quietly: true });
    refuse(null);
    run(signal).catch((error) => fail(error, signal));
  }

  root.append(above,
    h("form", { class: "filters", role: "search", onchange: start, onsubmit: (event) => event.preventDefault() },
      field("Namespace", inputs.namespace), namespaces, field("Resource", inputs.kind), resources, field("Name", inputs.name),
      field("User", inputs.user), field("Path", inputs.path), field("Since", inputs.since)),
    h("p", {}, state), place, note, h("p", { class: "paging" }, more));
  suggest(namespaces);
  suggestKinds(resources);
  start();
  return () => ending.abort();
}

async function suggestKinds(list) {
  try {
    list.replaceChildren(...(await kinds()).map((one) => h("option", { value: groupResource(one) })));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}
