// Deletes an object, and says before what goes with it.

import { groupResource, kinds, send } from "./api.js";
import { doing } from "./doing.js";
import { field, h } from "./dom.js";
import { number } from "./format.js";
import { counted, dependents, fill, listed } from "./relatives.js";

const DEFINITION = "apiextensions.k8s.io";
const POLICIES = [
  ["Background", "The object goes at once, its dependents after it"],
  ["Foreground", "Its dependents go first, then the object"],
  ["Orphan", "Its dependents stay, without an owner"],
];

const isNamespace = ({ group, resource }) => !group && resource === "namespaces";
const isDefinition = ({ group, resource }) => group === DEFINITION && resource === "customresourcedefinitions";

export const remove = {
  name: "delete", title: "Delete", writes: true,
  needs: () => ({ verb: "delete" }),
  applies: (kind) => kind.verbs.includes("delete"),
  open: (subject) => {
    const { kind, name, object, path, context, leave } = subject;
    const holds = isNamespace(kind) || isDefinition(kind);
    const radios = POLICIES.map(([value], at) => h("input", { type: "radio", name: "policy", value, checked: !at }));
    const typed = h("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
    const place = h("div");
    const waits = object.metadata.finalizers || [];
    const act = async () => {
      const propagationPolicy = radios.find((one) => one.checked).value;
      const body = { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy, preconditions: { uid: object.metadata.uid } };
      const answer = await (await send(path, { method: "DELETE", body })).json();
      return `${object.kind} ${name} is ${answer.metadata && answer.metadata.deletionTimestamp ? "being deleted" : "deleted"}`;
    };
    fill(place, () => (holds ? contents(subject) : cascade(subject)));
    return doing({ label: "Delete", tone: "danger", act, done: leave, context, ready: () => !holds || typed.value === name },
      waits.length > 0 && h("p", {}, `It remains until its finalizers are gone: ${waits.join(", ")}.`),
      h("h3", {}, holds ? "What goes with it" : "Its dependents"), place,
      !holds && h("fieldset", {}, h("legend", {}, "What becomes of them"), radios.map((radio, at) =>
        h("label", {}, radio, ` ${POLICIES[at][0]}: ${POLICIES[at][1]}`))),
      holds && field(`Type ${name} to delete it with all that it holds`, typed));
  },
};

async function cascade(subject) {
  return listed(await dependents(subject), "No object names it as its owner.");
}

// What is in a namespace, or the objects of a definition, by their numbers.
async function contents({ kind, name, object, context: { signal } }) {
  let all, namespace = "";
  if (isNamespace(kind)) {
    all = (await kinds()).filter((one) => one.namespaced);
    namespace = name;
  } else {
    const { group, names, scope, versions } = object.spec;
    const { name: version } = versions.find((one) => one.served) || versions[0];
    all = [{ group, version, resource: names.plural, kind: names.kind, namespaced: scope === "Namespaced" }];
  }
  return listed(await counted(all, namespace, signal), "Nothing.", (one) => `${number(one.count)} ${groupResource(one.kind)}`);
}
