// Objects of all kinds: owners and dependents, by the ownerReferences of either, and all that have one name.

import { getJSON, groupResource, kinds, kindsOf, pathOf, Refusal } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";

const METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io, application/json";
const PAGE = 500;
const PAGES = 4;
const AT_ONCE = 6;
const SHOWN = 200;

// A link to an object. Objects of the cluster have no namespace.
export function linkTo(kind, namespace, name, label) {
  const within = kind.namespaced ? namespace : "";
  const settings = { kind: `${kind.group}/${kind.version}/${kind.resource}`, ...(within && { namespace: within }), open: `${within}/${name}` };
  return h("a", { href: `#/objects?${new URLSearchParams(settings)}` }, label || `${kind.kind} ${name}`);
}

// Links to the owners; only the text for kinds that are not served.
export function owners({ object, namespace }) {
  return Promise.all((object.metadata.ownerReferences || []).map(async (one) => {
    const label = `${one.kind} ${one.name}`;
    const [version, group = ""] = one.apiVersion.split("/").reverse();
    try {
      const kind = (await kindsOf(group, version)).find((known) => known.kind === one.kind);
      return kind ? linkTo(kind, namespace, one.name, label) : label;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return label;
    }
  }));
}

// Visits kinds, a few at a time; what could not be looked through, in words.
async function through(all, visit) {
  const queue = [...all], missed = [];
  const work = async () => {
    for (let kind = queue.shift(); kind; kind = queue.shift()) {
      try {
        const rest = await visit(kind);
        if (rest) missed.push(rest);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        missed.push(error.status === 403 ? `you may not list ${groupResource(kind)}` : `${groupResource(kind)}: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return missed;
}

const list = (kind, namespace, signal, query) =>
  getJSON(`${pathOf(kind, namespace)}?${new URLSearchParams(query)}`, { accept: METADATA, signal });

// Looks for the dependents of an object, and for theirs. The server keeps no index of owners: every kind is looked through,
// in the namespace of the object, or in all namespaces when it is one of the cluster.
// found: kind, namespace, name; stays: whether it has an owner that is none of these. missed: what is not known.
export async function dependents({ object, namespace, context: { signal } }) {
  const owned = new Map();
  const missed = await through((await kinds()).filter((kind) => kind.namespaced || !namespace), async (kind) => {
    let next = "", looked = 0, pages = 0;
    do {
      const { items, metadata: page } = await list(kind, namespace, signal, { limit: PAGE, ...(next && { continue: next }) });
      for (const { metadata } of items || []) {
        if (metadata.ownerReferences) owned.set(metadata.uid, { kind, metadata, by: metadata.ownerReferences.map((owner) => owner.uid) });
      }
      looked += (items || []).length;
      next = page.continue;
      pages += 1;
    } while (next && pages < PAGES);
    return next ? `only the first ${number(looked)} ${groupResource(kind)} were looked at` : "";
  });
  const going = new Set([object.metadata.uid]);
  for (let before = 0; before !== going.size;) {
    before = going.size;
    for (const [uid, { by }] of owned) if (by.every((owner) => going.has(owner))) going.add(uid);
  }
  const found = [...owned].filter(([, { by }]) => by.some((owner) => going.has(owner))).map(([uid, { kind, metadata }]) =>
    ({ kind, namespace: metadata.namespace || "", name: metadata.name, stays: !going.has(uid) }));
  return { found: found.sort((a, b) => a.kind.kind.localeCompare(b.kind.kind) || a.name.localeCompare(b.name)), missed };
}

// The objects of all kinds that have exactly this name, each once although two groups may serve it. The server selects them.
export async function called(name, signal) {
  const known = new Map();
  const fieldSelector = `metadata.name=${name.replace(/[\\,=]/g, "\\$&")}`;
  const missed = await through(await kinds(), async (kind) => {
    const { items, metadata: page } = await list(kind, "", signal, { fieldSelector, limit: PAGE });
    for (const { metadata } of items || []) {
      if (metadata.name !== name || known.has(metadata.uid)) continue; // component statuses come whatever is selected
      known.set(metadata.uid, { kind, namespace: metadata.namespace || "", name });
    }
    return page.continue ? `there are more ${groupResource(kind)}` : "";
  });
  const order = (one) => `${one.kind.kind} ${one.namespace}`;
  return { found: [...known.values()].sort((a, b) => order(a).localeCompare(order(b))), missed };
}

// How many objects there are of kinds: kind, count.
export async function counted(all, namespace, signal) {
  const found = [];
  const missed = await through(all, async (kind) => {
    const { items, metadata } = await list(kind, namespace, signal, { limit: 1 });
    const count = (items || []).length + (metadata.remainingItemCount || 0);
    if (count) found.push({ kind, count });
  });
  return { found: found.sort((a, b) => b.count - a.count), missed };
}

// Fills a place with what is looked for.
export async function fill(place, look) {
  place.replaceChildren(h("p", { class: "soft", role: "status" }, "Looking …"));
  try {
    place.replaceChildren(...(await look()));
  } catch (error) {
    if (error instanceof Refusal) place.replaceChildren(error.message);
    else if (error.name !== "AbortError") throw error;
  }
}

// The elements that show what was found, each by `show`.
export function listed({ found, missed }, none, show = ({ kind, namespace, name, stays }) =>
  [linkTo(kind, namespace, name), namespace && ` in ${namespace}`, stays && ", which has another owner and stays"]) {
  return [
    found.length ? h("ul", {}, found.slice(0, SHOWN).map((one) => h("li", {}, show(one)))) : h("p", {}, none),
    found.length > SHOWN && h("p", {}, `And ${number(found.length - SHOWN)} more.`),
    missed.length && h("p", { class: "soft" }, `Not all is known: ${missed.join("; ")}.`),
  ].filter(Boolean);
}
