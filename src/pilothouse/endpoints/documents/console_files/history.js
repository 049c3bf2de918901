// The group of kept changes, which a server with --history serves (docs/console.md).

import { getJSON, Refusal } from "./api.js";

export const GROUP = "history.pilothouse.dev";
const within = { group: GROUP, version: "v1" };

// Changes of objects in namespaces, and of the others.
export const CHANGES = { ...within, resource: "changes", kind: "Change", namespaced: true };
export const CLUSTER_CHANGES = { ...within, resource: "clusterchanges", kind: "ClusterChange", namespaced: false };
export const UNDOS = { ...within, resource: "undos" };

// Whether the server keeps changes, by its list of groups.
export async function kept() {
  try {
    return ((await getJSON("/apis")).groups || []).some(({ name }) => name === GROUP);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return false;
  }
}

// The address of the changes of an object.
export function timeline(kind, namespace, name) {
  return `#/history?${new URLSearchParams({ kind, ...(namespace && { namespace }), name })}`;
}

// The kind of the object of a change: as of api.kinds(); null for one that is not served any more.
export function kindOf({ object: { apiVersion, kind, resource, namespace } }) {
  if (!apiVersion) return null;
  const [version, group = ""] = apiVersion.split("/").reverse();
  return { group, version, resource: resource.split(".")[0], kind, namespaced: Boolean(namespace) };
}

// The values of Secrets are not shown, here as elsewhere.
export const isHidden = ({ object }) => object.resource === "secrets";
