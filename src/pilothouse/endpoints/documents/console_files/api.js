// Requests to the server that this page comes from, by the user's own rights.

const KEY = "pilothouse-token";
export const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io, application/json";

// The page may stand below the path of a proxy, as with `kubectl proxy`.
export const base = new URL("..", document.baseURI);

// Whether the server was started with --console=read-only: the page then asks for nothing that changes an object.
export const readOnly = document.documentElement.dataset.mode === "read-only";

// An answer that is no success. status: the HTTP status. reason: of the Status object. auditID: of the request.
// causes: those of the Status object.
export class Refusal extends Error {
  constructor(status, reason, message, auditID, causes = []) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.reason = reason;
    this.auditID = auditID;
    this.causes = causes;
  }
}

export function token() {
  return sessionStorage.getItem(KEY) || "";
}

export function setToken(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

// Sends a request; a body that is no text is sent as JSON.
export async function send(path, { accept = "application/json", method = "GET", type = "application/json", body, signal } = {}) {
  const headers = { Accept: accept };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body) headers["Content-Type"] = type;
  let answer;
  try {
    answer = await fetch(new URL(path.replace(/^\//, ""), base), {
      method, headers, signal, cache: "no-store", body: typeof body === "string" ? body : body && JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "Unreachable", "The server does not answer.", "");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let reason = answer.statusText, message = text.trim(), causes;
  try {
    const status = JSON.parse(text);
    reason = status.reason || reason;
    message = status.message || message;
    causes = (status.details && status.details.causes) || [];
  } catch {
    // A proxy in between answers with a page of its own.
  }
  const refusal = new Refusal(answer.status, reason, message, answer.headers.get("Audit-Id") || "", causes);
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("unauthorized", { detail: refusal }));
  throw refusal;
}

export async function getText(path, options) {
  return (await send(path, { accept: "text/plain, */*", ...options })).text();
}

export async function getJSON(path, options) {
  return (await send(path, options)).json();
}

export async function getTable(path, options) {
  return (await send(path, { accept: TABLE, ...options })).json();
}

// Who the server takes the user for (KEP-3325); Refusal for anonymous users.
export async function whoAmI() {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const answer = await send("/apis/authentication.k8s.io/v1/selfsubjectreviews", { method: "POST", body: review });
  return (await answer.json()).status.userInfo;
}

// Whether the user may do this, by a SelfSubjectAccessReview; true when the server does not say: the request itself tells then.
export async function may(resourceAttributes) {
  const review = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec: { resourceAttributes } };
  try {
    const answer = await send("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { method: "POST", body: review });
    return (await answer.json()).status.allowed;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return true;
  }
}

// All kinds that can be listed: group, version, resource, kind, namespaced, watchable; the preferred version of each.
export async function kinds() {
  const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  const documents = await Promise.all(["/api", "/apis"].map((path) => getJSON(path, { accept })));
  const out = [];
  for (const group of documents.flatMap((document) => document.items || [])) {
    const seen = new Set();
    for (const version of group.versions || []) {
      for (const resource of version.resources || []) {
        if (seen.has(resource.resource) || !resource.verbs.includes("list")) continue;
        seen.add(resource.resource);
        out.push({
          group: group.metadata.name || "",
          version: version.version,
          resource: resource.resource,
          kind: resource.responseKind.kind,
          namespaced: resource.scope === "Namespaced",
          watchable: resource.verbs.includes("watch"),
        });
      }
    }
  }
  return out;
}

// The kinds of one version of a group, with their verbs and the names of their subresources.
export async function kindsOf(group, version) {
  const { resources } = await getJSON(rootOf({ group, version }));
  const within = (name) => resources.filter((one) => one.name.startsWith(`${name}/`)).map((one) => one.name.slice(name.length + 1));
  return resources.filter(({ name }) => !name.includes("/")).map(({ name, kind, namespaced, verbs }) => (
    { group, version, resource: name, kind, namespaced, verbs, subresources: within(name) }));
}

function rootOf({ group, version }) {
  return group ? `/apis/${group}/${version}` : `/api/${version}`;
}

export function groupResource({ group, resource }) {
  return group ? `${resource}.${group}` : resource;
}

export function pathOf(kind, namespace, name) {
  const within = namespace ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${rootOf(kind)}${within}/${kind.resource}${name ? `/${encodeURIComponent(name)}` : ""}`;
}
