// A dialog about one change: who made it, the fields before and after it, and how to take it back.

import { getJSON, may, pathOf, readOnly, Refusal, send } from "./api.js";
import { changes, diff, drawn } from "./diff.js";
import { h, refused } from "./dom.js";
import { since } from "./format.js";
import { CHANGES, CLUSTER_CHANGES, isHidden, kindOf, timeline, UNDOS } from "./history.js";
import { plain } from "./lines.js";
import { linkTo } from "./relatives.js";
import { withoutManagers, write, yamlOf } from "./yaml.js";

const CONFLICT = 409;
const NOT_SHOWN = "The values of Secrets are not shown.";

// A change is named as NAMESPACE/NAME.
export async function open(value, settings, context) {
  const [namespace, name] = value.split("/");
  try {
    const change = await getJSON(pathOf(namespace ? CHANGES : CLUSTER_CHANGES, namespace, name));
    const { object, operation } = change;
    const able = !readOnly && await may({ ...UNDOS, verb: "create" });
    return [`${operation}: ${object.kind || object.resource} ${object.name}`, facts(change),
      h("section", {}, h("h3", {}, "What changed"), await difference(change)), able && undoing(change, context)];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [`Change ${name}`, refused(error)];
  }
}

function facts(change) {
  const { object, user, time, auditID } = change, kind = kindOf(change);
  const rows = [
    ["Object", kind && linkTo(kind, object.namespace, object.name)],
    ["Namespace", object.namespace],
    ["When", `${time}, ${since(time)} ago`],
    ["Who", user ? user.username : change.authorUnknown || "not known"],
    ["Groups", user && (user.groups || []).join(", ")],
    ["Manager", change.manager],
    ["Verb", [change.verb, change.subresource].filter(Boolean).join(" ")],
    ["From", (change.sourceIPs || []).join(", ")],
    ["Revision", change.revision],
    ["Audit ID", auditID && h("a", { href: `#/requests?${new URLSearchParams({ open: auditID })}` }, auditID)],
    ["History", h("a", { href: timeline(object.resource, object.namespace, object.name) }, "all changes of this object")],
  ];
  return h("dl", { class: "facts" }, rows.filter(([, shown]) => shown).map(([label, shown]) => [h("dt", {}, label), h("dd", {}, shown)]));
}

// The fields before and after a change; the whole object where it came or went.
async function difference(change) {
  const { fields, operation } = change;
  if (isHidden(change)) {
    return h("div", {}, fields.length > 0 && h("ul", {}, fields.map(({ path }) => h("li", {}, h("code", {}, path)))), h("p", {}, NOT_SHOWN));
  }
  if (operation === "Changed") return fields.length ? drawn(fields.flatMap(ofField)) : h("p", {}, change.summary);
  return whole(change);
}

const lines = (value) => (typeof value === "string" && value.includes("\n") ? value.split("\n").map(plain) : write(value).replace(/^\n/, "").split("\n"));

function ofField({ path, old, new: now }) {
  const signed = (sign, value) => (value === undefined ? [] : lines(value).map((line) => [sign, line]));
  const both = old !== undefined && now !== undefined;
  return [["@", path], ...(both ? changes(diff(lines(old).join("\n"), lines(now).join("\n"))) : [...signed("-", old), ...signed("+", now)])];
}

async function whole(change) {
  const { object, operation, metadata: { resourceVersion } } = change, kind = kindOf(change);
  const deleted = operation === "Deleted";
  const revision = deleted ? String(BigInt(resourceVersion) - 1n) : resourceVersion;
  if (!kind) return h("p", {}, change.summary);
  try {
    const query = new URLSearchParams({ resourceVersion: revision, resourceVersionMatch: "Exact" });
    const text = withoutManagers(await yamlOf(`${pathOf(kind, object.namespace, object.name)}?${query}`));
    return drawn(text.trimEnd().split("\n").map((line) => [deleted ? "-" : "+", line]));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return refused(error);
  }
}

// Takes a change back: the server says in a dry run what it would write, and then writes it.
function undoing(change, context) {
  const { name } = change.metadata;
  const place = h("div");

  const ask = async (dry, force) => {
    const body = { apiVersion: `${UNDOS.group}/${UNDOS.version}`, kind: "Undo", spec: { change: name, force } };
    const answer = await (await send(`${pathOf(UNDOS)}${dry ? "?dryRun=All" : ""}`, { method: "POST", body })).json();
    const [result] = answer.status.results;
    if (result.action === "Failed") throw new Refusal(0, "", result.message, "");
    return result;
  };

  const refuse = (error, force) => {
    if (!(error instanceof Refusal)) throw error;
    place.replaceChildren(refused(error), ...(error.status === CONFLICT && !force
      ? [h("p", {}, h("button", { type: "button", onclick: () => check(true) }, "Take it back nevertheless"))] : []));
  };

  async function check(force) {
    place.replaceChildren(h("p", { class: "soft", role: "status" }, "Asking the server …"));
    try {
      const result = await ask(true, force);
      offer(result, await written(change, result), force);
    } catch (error) {
      refuse(error, force);
    }
  }

  function offer(result, shown, force) {
    const nothing = ["Unchanged", "Skipped"].includes(result.action);
    const now = h("button", { type: "button", class: `primary ${result.action === "Deleted" ? "danger" : ""}`, onclick: async () => {
      now.disabled = true;
      try {
        const { action } = await ask(false, force);
        context.announce(`${action}: ${result.resource} ${result.name}`);
        context.close();
      } catch (error) {
        refuse(error, force);
      }
    } }, "Undo now");
    place.replaceChildren(
      h("h3", { tabindex: "-1" }, nothing ? "Nothing would change" : `Would be ${result.action.toLowerCase()}: ${result.resource} ${result.name}`),
      ...[result.message, ...(result.warnings || [])].filter(Boolean).map((text) => h("p", { "data-tone": "warn" }, text)),
      ...(nothing ? [] : [shown, h("p", {}, now)]));
    place.querySelector("h3").focus();
  }

  return h("section", {}, h("h3", {}, "Take it back"),
    h("p", { class: "actions" }, h("button", { type: "button", onclick: () => check(false) }, "Undo …")), place);
}

// The difference between the present object and what an undo would write.
async function written(change, { action, object: after }) {
  if (isHidden(change)) return h("p", {}, NOT_SHOWN);
  const { namespace, name } = change.object;
  const apiVersion = action === "Updated" ? after.apiVersion : change.object.apiVersion;
  const kind = kindOf({ object: { ...change.object, apiVersion } });
  const before = action === "Created" ? null : await getJSON(pathOf(kind, namespace, name));
  const text = (object) => (object ? `${write(readable(object)).trimStart()}` : "");
  const found = diff(text(before), text(action === "Deleted" ? null : after)).filter(([, line]) => line);
  return drawn(changes(found));
}

function readable({ metadata: { managedFields, ...metadata }, ...object }) {
  return { ...object, metadata };
}
