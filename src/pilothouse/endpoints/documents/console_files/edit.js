// Changes an object by a text: the server says in a dry run what the text makes of it, and then saves what was shown.

import { getJSON, Refusal, send, token } from "./api.js";
import { changes, diff, drawn } from "./diff.js";
import { field, h, refused } from "./dom.js";
import { applied, MANAGER, taken } from "./managers.js";
import { withoutManagers, write } from "./yaml.js";

const YAML = "application/yaml";
const CONFLICT = 409;
const READINGS = 5;

const isSecret = (kind) => kind.resource === "secrets" && !kind.group;

// The whole object, as with kubectl edit. What is no longer in the text is removed.
export const edit = {
  name: "edit", title: "Edit", writes: true,
  needs: () => ({ verb: "update" }),
  applies: (kind) => kind.verbs.includes("update") && !isSecret(kind),
  open: (subject) => editor(subject, {
    name: "edit", method: "PUT", type: YAML,
    text: ({ yaml }) => withoutManagers(yaml),
    help: "The whole object, but for who manages its fields. The server ignores changes of what it sets itself, such as the status.",
  }),
};

// The fields that somebody wants to manage from here, as with kubectl apply --server-side.
export const apply = {
  name: "apply", title: "Apply", writes: true,
  needs: () => ({ verb: "patch" }),
  applies: (kind) => kind.verbs.includes("patch") && !isSecret(kind),
  open: (subject) => editor(subject, {
    name: "apply", method: "PATCH", type: "application/apply-patch+yaml",
    text: ({ object, version }) => {
      const { apiVersion, kind, metadata: { name, namespace } } = object;
      const own = applied(object) || {};
      const metadata = { name, ...(namespace && { namespace }), ...own.metadata, resourceVersion: version };
      return `${write({ apiVersion, kind, ...own, metadata }).trimStart()}\n`;
    },
    help: `The fields that are to be managed from here, by the manager ${MANAGER}. Those that it has applied before are in the text; what is left out is given up.`,
  }),
};

// Texts that were not saved, and what they began with, by the object: a dialog that is closed loses nothing.
const drafts = new Map();

// The object in both forms of one version.
async function read({ path }, left = READINGS) {
  const object = await getJSON(path);
  const yaml = await (await send(path, { accept: YAML })).text();
  const version = object.metadata.resourceVersion;
  if (yaml.includes(lineOf(version)) || left === 1) return { object, yaml, version };
  return read({ path }, left - 1);
}

const lineOf = (version) => `resourceVersion: "${version}"`;

// What the server warns of, for the user: 299 - "TEXT" (RFC 7234).
function warningsOf(answer) {
  const found = (answer.headers.get("Warning") || "").matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g);
  return [...found].map(([, text]) => text.replace(/\\(.)/g, "$1"));
}

async function editor(subject, way) {
  const { path, name, object: { kind }, context } = subject;
  const key = `${token()} ${way.name} ${path}`;
  const draft = drafts.get(key);
  let base = draft ? draft.base : await read(subject);
  let force = false;
  const area = h("textarea", { rows: 18, spellcheck: "false", autocomplete: "off", autocapitalize: "off", wrap: "off", autofocus: true });
  area.value = draft ? draft.text : way.text(base);
  const place = h("div", {}, draft && h("p", { class: "soft" }, "This is your text, which was not saved."));
  const anew = h("button", { type: "button", hidden: !draft, onclick: () => again(true) }, "Drop my changes");

  // Sends the text; without `save` the server only says what it would do.
  const ask = (text, save, accept) => {
    const query = { fieldManager: MANAGER, fieldValidation: "Strict", ...(!save && { dryRun: "All" }), ...(force && { force: "true" }) };
    return send(`${path}?${new URLSearchParams(query)}`, { method: way.method, type: way.type, body: text, accept });
  };

  const refuse = (error) => {
    if (!(error instanceof Refusal)) throw error;
    const owned = error.causes.some((cause) => cause.reason === "FieldManagerConflict");
    place.replaceChildren(refused(error), ...(error.status !== CONFLICT ? [] : [owned
      ? h("p", {}, h("button", { type: "button", onclick: () => (force = true, check()) }, "Take these fields from their managers"))
      : h("p", {}, h("button", { type: "button", onclick: () => again(false) }, "Compare with the object as it is now"))]));
  };

  async function check() {
    const text = area.value;
    if (!text.includes(lineOf(base.version))) {
      place.replaceChildren(refused({ name: "Not sent", message: `The text needs the line ${lineOf(base.version)} in its metadata: by it the server sees whether somebody else has changed the object.` }));
      return;
    }
    place.replaceChildren(h("p", { class: "soft", role: "status" }, "Asking the server …"));
    try {
      const after = await (await ask(text, false)).json();
      const answer = await ask(text, false, YAML);
      const lines = changes(diff(withoutManagers(base.yaml), withoutManagers(await answer.text())));
      if (area.value === text) offer(text, lines, taken(base.object, after), warningsOf(answer));
    } catch (error) {
      refuse(error);
    }
  }

  // Shows what would change, and a button that saves it.
  function offer(text, lines, others, warnings) {
    const save = h("button", { type: "button", class: "primary", onclick: async () => {
      save.disabled = true;
      try {
        await ask(text, true);
        drafts.delete(key);
        context.announce(`${kind} ${name} is saved`);
        context.close();
      } catch (error) {
        refuse(error);
      }
    } }, "Save");
    // Of an apply the server itself says who else applies a field, and refuses it.
    const held = way.method === "PUT" && others.some((one) => one.applied);
    save.disabled = held;
    place.replaceChildren(
      h("h3", { tabindex: "-1" }, lines.length ? "What would change" : "Nothing would change"),
      ...warnings.map((text) => h("p", { "data-tone": "warn" }, text)),
      ...(lines.length ? [drawn(lines)] : []),
      ...(others.length ? [h("p", {}, "Others have managed these fields until now:"),
        h("ul", {}, others.map((one) => h("li", {}, `${one.manager}${one.applied ? ", which applies them" : ""}: ${one.paths.join(", ")}`)))] : []),
      ...(held ? [h("p", {}, h("label", {}, h("input", { type: "checkbox", onchange: ({ target }) => (save.disabled = !target.checked) }),
        " Take them from who applies them"))] : []),
      ...(lines.length || way.method === "PATCH" ? [h("p", {}, save)] : []));
    place.querySelector("h3").focus();
  }

  // Goes on from the object as it is now: with its text, or with the user's.
  async function again(drop) {
    try {
      const now = await read(subject);
      area.value = drop ? way.text(now) : area.value.replace(lineOf(base.version), lineOf(now.version));
      base = now;
      note();
      if (drop) place.replaceChildren();
      else await check();
    } catch (error) {
      refuse(error);
    }
  }

  function note() {
    const changed = area.value !== way.text(base);
    if (changed) drafts.set(key, { text: area.value, base });
    else drafts.delete(key);
    anew.hidden = !changed;
  }

  area.addEventListener("input", () => {
    force = false;
    place.replaceChildren();
    note();
  });
  return h("form", { onsubmit: (event) => (event.preventDefault(), check()) },
    h("p", { class: "soft" }, way.help), field("YAML", area),
    h("p", { class: "actions" }, h("button", {}, "Show changes"), anew), place);
}
