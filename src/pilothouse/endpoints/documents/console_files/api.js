// Requests to the server that this page comes from, by the user's own rights.

const KEY = "pilothouse-token";
const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io, application/json";

// The page may stand below the path of a proxy, as with `kubectl proxy`.
const base = new URL("..", document.baseURI);

// An answer that is no success. status: the HTTP status. reason: of the Status object. auditID: of the request.
export class Refusal extends Error {
  constructor(status, reason, message, auditID) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.reason = reason;
    this.auditID = auditID;
  }
}

export function token() {
  return sessionStorage.getItem(KEY) || "";
}

export function setToken(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

async function send(path, { accept = "application/json", method = "GET", body, signal } = {}) {
  const headers = { Accept: accept };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(new URL(path.replace(/^\//, ""), base), {
      method, headers, signal, cache: "no-store", body: body && JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "Unreachable", "The server does not answer.", "");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let reason = answer.statusText, message = text.trim();
  try {
    const status = JSON.parse(text);
    reason = status.reason || reason;
    message = status.message || message;
  } catch {
    // A proxy in between answers with a page of its own.
  }
  const refusal = new Refusal(answer.status, reason, message, answer.headers.get("Audit-Id") || "");
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

// Calls `each` with every event of a watch on tables until the server ends it.
export async function watchTable(path, each, signal) {
  const answer = await send(path, { accept: TABLE, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) each(JSON.parse(line));
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

export function groupResource({ group, resource }) {
  return group ? `${resource}.${group}` : resource;
}

export function pathOf({ group, version, resource }, namespace, name) {
  const root = group ? `/apis/${group}/${version}` : `/api/${version}`;
  const within = namespace ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${within}/${resource}${name ? `/${encodeURIComponent(name)}` : ""}`;
}
