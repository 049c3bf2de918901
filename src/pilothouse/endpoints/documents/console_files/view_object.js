// A dialog about one object: what can be done with it, its YAML, its owners and dependents, its events.

import { actions, actionsFor } from "./actions.js";
import { getJSON, groupResource, kindsOf, pathOf, readOnly, Refusal } from "./api.js";
import { h, refused, Table } from "./dom.js";
import { since } from "./format.js";
import { kept, timeline } from "./history.js";
import { dependents, fill, listed, owners } from "./relatives.js";
import { seen } from "./view_events.js";
import { fold, yamlOf } from "./yaml.js";

const APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const EVENTS = 500;

// What a dialog shows of an object, which is named as NAMESPACE/NAME, or of an action: NAMESPACE/NAME/ACTION.
export async function open(value, settings, context) {
  const [group, version, resource] = (settings.get("kind") || "").split("/");
  const [namespace, name, doing] = value.split("/");
  const path = pathOf({ group, version, resource }, namespace, name);
  try {
    const [object, all] = await Promise.all([getJSON(path), kindsOf(group, version)]);
    const kind = all.find((one) => one.resource === resource);
    const leave = () => context.go("objects", Object.fromEntries(settings));
    const subject = { kind, namespace, name, object, path, leave, context };
    const action = actions.find((one) => one.name === doing && !(one.writes && readOnly));
    if (action) return [`${action.title}: ${object.kind} ${name}`, await action.open(subject)];
    return [`${object.kind} ${name}`, toolbar(subject, value), await facts(subject), await text(subject),
      related(subject), events(subject)];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [`${resource} ${name}`, refused(error)];
  }
}

// Buttons of the actions, which come once the server has said what the user may do.
function toolbar(subject, value) {
  const place = h("div", { class: "actions", role: "group", "aria-label": "Actions" });
  actionsFor(subject).then((able) => place.replaceChildren(...able.map((one) =>
    h("button", { type: "button", onclick: () => subject.context.reveal(`${value}/${one.name}`) }, one.title))));
  return place;
}

async function facts(subject) {
  const { kind, namespace, name, object: { metadata } } = subject;
  const resource = groupResource(kind);
  const belongs = (await owners(subject)).flatMap((one, at) => (at ? [", ", one] : [one]));
  const waits = (metadata.finalizers || []).join(", ");
  const rows = [
    ["Created", `${since(metadata.creationTimestamp)} ago`],
    ["Owned by", belongs],
    ["Being deleted", metadata.deletionTimestamp && `for ${since(metadata.deletionTimestamp)}${waits && `; it waits for ${waits}`}`],
    ["History", (await kept()) && h("a", { href: timeline(resource, namespace, name) }, "its changes, and who made them")],
    ["Requests", h("a", { href: `#/requests?${new URLSearchParams({ resource, ...(namespace && { namespace }) })}` },
      `refused and slow ones for ${resource}${namespace && ` in ${namespace}`}`)],
  ];
  return h("dl", { class: "facts" }, rows.filter(([, shown]) => shown && shown.length !== 0).map(([label, shown]) => [h("dt", {}, label), h("dd", {}, shown)]));
}

// The object as YAML, its field managers folded; of a Secret only how much there is.
async function text({ kind, object, path }) {
  if (kind.resource === "secrets" && !kind.group) return whole(JSON.stringify(hidden(object), null, 2));
  const yaml = await yamlOf(path);
  const [before, managed, after] = fold(yaml);
  const pre = whole(before + after);
  const toggle = h("button", {
    type: "button", "aria-pressed": "false",
    onclick: () => {
      const pressed = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", String(pressed));
      pre.textContent = pressed ? yaml : before + after;
    },
  }, "Managed fields");
  return h("section", {}, h("h3", {}, "YAML"), managed && h("p", {}, toggle), pre);
}

function whole(shown) {
  return h("pre", { tabindex: "0" }, shown);
}

function hidden(object) {
  delete object.metadata.managedFields;
  for (const [key, value] of Object.entries(object.data || {})) object.data[key] = `${atob(value).length} bytes, not shown`;
  if (object.metadata.annotations) delete object.metadata.annotations[APPLIED];
  return object;
}

// Dependents are looked for when somebody asks, as all kinds have to be looked through.
function related(subject) {
  const place = h("div", {}, h("button", {
    type: "button", onclick: () => fill(place, async () => listed(await dependents(subject), "There is none.")),
  }, "Look through all kinds"));
  return h("section", {}, h("h3", {}, "Dependents"), place);
}

function events({ object, namespace, name, context: { signal } }) {
  const place = h("div", {}, h("p", { class: "soft" }, "Asking for events …"));
  const show = async () => {
    const escaped = name.replace(/[\\,=]/g, "\\$&");
    const query = new URLSearchParams({ fieldSelector: `involvedObject.kind=${object.kind},involvedObject.name=${escaped}`, limit: EVENTS });
    const path = pathOf({ group: "", version: "v1", resource: "events" }, namespace);
    const { items } = await getJSON(`${path}?${query}`, { signal });
    const table = new Table({
      label: "Events", key: (row) => row.metadata.uid, empty: "None is kept.", sort: "Ago",
      columns: [
        { title: "Reason", show: (row) => row.reason || "" },
        { title: "Message", wide: true, show: (row) => row.message || "" },
        { title: "Type", show: (row) => row.type || "", tone: (row) => (row.type === "Warning" ? "warn" : "") },
        { title: "Times", show: (row) => (row.series && row.series.count) || row.count || 1, numeric: true },
        { title: "Ago", show: (row) => since(seen(row)), of: (row) => -Date.parse(seen(row)), numeric: true },
      ],
    });
    table.update(items);
    place.replaceChildren(table.root);
  };
  show().catch((error) => {
    if (error instanceof Refusal) place.replaceChildren(refused(error));
    else if (error.name !== "AbortError") throw error;
  });
  return h("section", {}, h("h3", {}, "Events"), place);
}
