// A dialog about one object: what can be done with it, its YAML, its owners and dependents, its events.

import { actions, actionsFor } from "./actions.js";
import { getJSON, getYAML, kindsOf, pathOf, Refusal } from "./api.js";
import { h, refused } from "./dom.js";

const NOT_ACCEPTABLE = 406;
const APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

// What a dialog shows of an object, which is named as NAMESPACE/NAME, or of an action: NAMESPACE/NAME/ACTION.
export async function open(value, settings, context) {
  const [group, version, resource] = (settings.get("kind") || "").split("/");
  const [namespace, name, doing] = value.split("/");
  const path = pathOf({ group, version, resource }, namespace, name);
  try {
    const [object, all] = await Promise.all([getJSON(path), kindsOf(group, version)]);
    const kind = all.find((one) => one.resource === resource);
    const subject = { kind, namespace, name, object, path, context };
    const action = actions.find((one) => one.name === doing);
    if (action) return [`${action.title}: ${object.kind} ${name}`, await action.open(subject)];
    return [`${object.kind} ${name}`, toolbar(subject, value), await text(subject)];
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

// The object as YAML, its field managers folded; of a Secret only how much there is.
async function text({ kind, object, path }) {
  if (kind.resource === "secrets" && !kind.group) return whole(JSON.stringify(hidden(object), null, 2));
  let yaml;
  try {
    yaml = await getYAML(path);
  } catch (error) {
    if (error.status !== NOT_ACCEPTABLE) throw error;  // an aggregated server need not speak it
    return whole(JSON.stringify(object, null, 2));
  }
  const [before, managed, after] = fold(yaml);
  const pre = h("pre", { tabindex: "0" }, before + after);
  const toggle = h("button", {
    type: "button", "aria-pressed": "false",
    onclick: () => {
      const pressed = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", String(pressed));
      pre.textContent = pressed ? yaml : before + after;
    },
  }, "Managed fields");
  return [managed && h("p", {}, toggle), pre];
}

function whole(shown) {
  return h("pre", { tabindex: "0" }, shown);
}

// An object's YAML in three parts: before its managed fields, these, and what follows. Only lines of the object itself
// start in the first column, only members of its metadata in the third of those that follow.
export function fold(yaml) {
  const lines = yaml.split("\n");
  const metadata = lines.indexOf("metadata:");
  const within = (at) => at < lines.length && lines[at].startsWith("  ");
  let from = metadata + 1;
  while (within(from) && lines[from] !== "  managedFields:") from += 1;
  if (metadata < 0 || !within(from)) return [yaml, "", ""];
  let to = from + 1;
  while (within(to) && /^ {2}[ -]/.test(lines[to])) to += 1;
  return [lines.slice(0, from), lines.slice(from, to), lines.slice(to)].map((part, at) => part.join("\n") + (at < 2 ? "\n" : ""));
}

function hidden(object) {
  delete object.metadata.managedFields;
  for (const [key, value] of Object.entries(object.data || {})) object.data[key] = `${atob(value).length} bytes, not shown`;
  if (object.metadata.annotations) delete object.metadata.annotations[APPLIED];
  return object;
}
