// What can be done with an object. Each action is a button of the object's dialog, where it applies and is allowed.
//
// name: its part of the address. title: of its button, and of its dialog.
// writes: whether it changes anything; such actions are left out of a console that only reads.
// needs(kind): the verb, and the subresource, that the user must be allowed, as in a SelfSubjectAccessReview.
// applies(kind, object): whether it can be done with this object.
// open(subject): the elements that its dialog shows, or a promise of them. A subject has
//   kind: group, version, resource, kind, namespaced, verbs, subresources; namespace, name, object; path: of the object;
//   leave(): goes to the view; context: announce(text), close() goes one step back, signal: aborted once the dialog is closed.

import { may, readOnly } from "./api.js";
import { apply, edit } from "./edit.js";
import { forward } from "./forward.js";
import { logs } from "./logs.js";
import { remove } from "./remove.js";
import { terminal } from "./terminal.js";
import { restart, scale } from "./workloads.js";

export const actions = [logs, terminal, forward, edit, apply, scale, restart, remove];

// Those that apply to an object, and that its user may take.
export async function actionsFor({ kind, namespace, name, object }) {
  const able = actions.filter((one) => !(one.writes && readOnly) && one.applies(kind, object));
  const allowed = await Promise.all(able.map((one) => may({
    group: kind.group, version: kind.version, resource: kind.resource, namespace, name, ...one.needs(kind),
  })));
  return able.filter((_, at) => allowed[at]);
}
