// Objects by kind: how many there are, and a live table of one kind.

import { getJSON, groupResource, kinds, Refusal } from "./api.js";
import { field, h, panel, refusals, Table } from "./dom.js";
import { by } from "./exposition.js";
import { number } from "./format.js";
import { Live } from "./live.js";
import { called, fill, listed } from "./relatives.js";
export { open } from "./view_object.js";

export const name = "objects";
export const title = "Objects";

const keyOf = ({ group, version, resource }) => `${group}/${version}/${resource}`;

export function show(root, context, settings) {
  const place = h("div");
  const refuse = refusals(place);
  const body = h("div", {}, h("p", { class: "soft" }, "Asking for the kinds …"));
  root.append(place, body);
  let stop = () => {};
  let gone = false;
  kinds().then((all) => {
    if (gone) return;
    body.replaceChildren();
    const kind = all.find((one) => keyOf(one) === settings.get("kind"));
    stop = kind ? showKind(body, refuse, context, kind, all, settings) : showAll(body, context, all, settings);
  }).catch((error) => {
    if (!(error instanceof Refusal)) throw error;
    body.replaceChildren();
    refuse(error);
  });
  return () => {
    gone = true;
    stop();
  };
}

function address(kind) {
  return `#/objects?${new URLSearchParams({ kind: keyOf(kind) })}`;
}

// Looks for a name in all kinds, once somebody asks or the address does; returns what ends it.
function finder(root, { go }, settings) {
  const wanted = h("input", { type: "search", autocomplete: "off", value: settings.get("find") });
  const place = h("div"), ending = new AbortController();
  const ask = (event) => {
    event.preventDefault();
    const find = wanted.value.trim();
    go("objects", find ? { find } : {});
  };
  root.append(h("form", { class: "filters", role: "search", "aria-label": "Objects of all kinds", onsubmit: ask },
    field("Exact name, in all kinds", wanted), h("button", { type: "submit" }, "Find objects")), place);
  const find = settings.get("find");
  if (find) fill(place, async () => listed(await called(find, ending.signal), `There is no object called ${find}.`));
  return () => ending.abort();
}

function showAll(root, context, all, settings) {
  const { sampler } = context;
  const counts = new Map();
  const search = h("input", { type: "search", autocomplete: "off", placeholder: "pods, apps, …" });
  const table = new Table({
    label: "Kinds",
    key: keyOf,
    sort: "-Objects",
    columns: [
      { title: "Kind", of: (row) => row.kind, show: (row) => row.kind, href: address },
      { title: "Resource", of: (row) => row.resource, show: (row) => row.resource },
      { title: "Group", of: (row) => row.group, show: (row) => row.group || "core" },
      { title: "Version", of: (row) => row.version, show: (row) => row.version },
      { title: "Scope", of: (row) => row.namespaced, show: (row) => (row.namespaced ? "namespaces" : "cluster") },
      { title: "Objects", of: (row) => counts.get(groupResource(row)) ?? -1, show: (row) => number(counts.get(groupResource(row)) ?? NaN), numeric: true },
    ],
  });
  const draw = () => {
    const text = search.value.trim().toLowerCase();
    table.update(all.filter((one) => `${one.kind} ${groupResource(one)} ${one.group || "core"}`.toLowerCase().includes(text)));
  };
  const update = () => {
    const families = sampler.latest ? sampler.latest.families : new Map();
    for (const [resource, count] of by(families, "apiserver_storage_objects", (row) => row.resource)) counts.set(resource, count);
    draw();
  };
  search.addEventListener("input", draw);
  const stop = finder(root, context, settings);
  root.append(h("form", { class: "filters", role: "search", "aria-label": "Kinds", onsubmit: (event) => event.preventDefault() }, field("Find a kind", search)),
    panel("Kinds", table.root));
  sampler.addEventListener("change", update);
  update();
  return () => {
    stop();
    sampler.removeEventListener("change", update);
  };
}

function chooser(all, kind, go) {
  const groups = new Map();
  for (const one of all) groups.set(one.group, [...(groups.get(one.group) || []), one]);
  const options = [...groups].map(([group, members]) => h("optgroup", { label: group || "core" },
    members.map((one) => h("option", { value: keyOf(one), selected: one === kind }, one.resource))));
  return h("select", { onchange: (event) => go("objects", { kind: event.target.value }) }, options);
}

function showKind(root, refuse, context, kind, all, settings) {
  const namespace = h("input", { type: "search", value: settings.get("namespace"), autocomplete: "off", list: "namespaces", placeholder: "all" });
  const labels = h("input", { type: "search", value: settings.get("labels"), autocomplete: "off", placeholder: "app=web" });
  const fields = h("input", { type: "search", value: settings.get("fields"), autocomplete: "off", placeholder: "status.phase=Running" });
  const filter = h("input", { type: "search", value: settings.get("name"), autocomplete: "off" });
  const known = h("datalist", { id: "namespaces" });
  const state = h("span", { class: "state" });
  const place = h("div");
  const label = groupResource(kind);
  let live = null, sort = settings.get("sort") || "";

  const chosen = () => ({
    kind: keyOf(kind), namespace: namespace.value.trim(), labels: labels.value.trim(), fields: fields.value.trim(), name: filter.value.trim(), sort,
  });
  const start = () => {
    if (live) live.stop();
    const wanted = chosen();
    context.go("objects", wanted, { quietly: true });
    live = new Live({
      kind, label, place, refuse,
      namespace: kind.namespaced ? wanted.namespace : "",
      selectors: {
        ...(wanted.labels && { labelSelector: wanted.labels }), ...(wanted.fields && { fieldSelector: wanted.fields }),
      },
      empty: "There is none.",
      sort,
      sorted: (by) => {
        sort = by;
        context.go("objects", chosen(), { quietly: true });
      },
      paused: context.paused,
      announce: context.announce,
      say: (tone, text) => {
        state.dataset.state = tone;
        state.textContent = text;
      },
      open: ({ namespace: within, name: called }) => context.reveal(`${within || ""}/${called}`),
      filter: () => filter.value.trim(),
      test: (row, text) => row.object.metadata.name.includes(text),
      exact: (text) => `metadata.name=${text.replace(/[\\,=]/g, "\\$&")}`,
    });
    place.replaceChildren();
  };
  filter.addEventListener("input", () => {
    context.go("objects", chosen(), { quietly: true });
    live.search();
  });
  if (kind.namespaced) suggest(known);
  root.append(
    h("p", {}, h("a", { href: "#/objects" }, "All kinds")),
    h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      field("Kind", chooser(all, kind, context.go)),
      kind.namespaced && field("Namespace", namespace), known,
      field("Labels", labels), field("Fields", fields), field("Name contains", filter)),
    h("section", { class: "panel", "aria-labelledby": "kind" },
      h("h2", { id: "kind" }, label), state, place));
  namespace.addEventListener("change", start);
  labels.addEventListener("change", start);
  fields.addEventListener("change", start);
  start();
  return () => live.stop();
}

// Fills a list with the names of namespaces.
export async function suggest(list) {
  try {
    const { items } = await getJSON("/api/v1/namespaces?limit=500");
    list.replaceChildren(...items.map((one) => h("option", { value: one.metadata.name })));
  } catch {
    // A user who may not list namespaces types one.
  }
}
