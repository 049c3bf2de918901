// What needs attention although the server is ready. Out of its metrics: APIServices that are unavailable, definitions that are not
// served, webhooks that cannot be called, a full store, certificates that expire soon. Out of its objects: namespaces that do not end.

import { getJSON, Refusal, token } from "./api.js";
import { by, total } from "./exposition.js";
import { age } from "./format.js";

const CALLS = "apiserver_admission_webhook_request_total";
const FAILURES = ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"];
const FAILED = "calling_webhook_error";
const UNSERVED = "pilothouse_unserved_definition";
const EXPIRY = "pilothouse_certificate_expiry_timestamp_seconds";

// Seconds: what is left of a certificate when it is told, as `pilothouse doctor` does; how long a namespace may take to end.
const SOON = 30 * 24 * 3600, LONG = 60;

const named = (row) => row.name;
const unserved = (row) => `${row.crd ? `definition ${row.crd} is` : "definitions are"} not served as asked: ${row.reason}`;
const failing = (row) => (row.error_type === undefined || row.error_type === FAILED ? row.name : undefined);

export class Attention {
  constructor() {
    this.calls = new Map();
    this.failures = new Map();
    this.dead = new Set();
  }

  // Takes a reading of one process; a webhook is well again once a call of it has succeeded.
  take(families) {
    const calls = by(families, CALLS, named);
    const failures = new Map();
    for (const family of FAILURES) {
      for (const [name, count] of by(families, family, failing)) failures.set(name, (failures.get(name) || 0) + count);
    }
    for (const name of new Set([...calls.keys(), ...failures.keys()])) {
      const failed = (failures.get(name) || 0) - (this.failures.get(name) || 0);
      const called = (calls.get(name) || 0) - (this.calls.get(name) || 0);
      if (failed > 0) this.dead.add(name);
      else if (called > 0) this.dead.delete(name);
    }
    this.calls = calls;
    this.failures = failures;
    const away = by(families, "aggregator_unavailable_apiservice", named);
    return [
      ...[...away].filter(([, count]) => count).map(([name]) => ({ text: `APIService ${name} is unavailable` })),
      ...[...by(families, UNSERVED, unserved).keys()].map((text) => ({ text })),
      ...[...this.dead].map((name) => ({ webhook: name, text: `webhook ${name} could not be called` })),
      ...(total(families, "pilothouse_storage_full") ? [{ text: "the store is full" }] : []),
      ...expiring(families),
    ];
  }
}

// The certificates that expire soon, the first one first.
function expiring(families, now = Date.now() / 1000) {
  const soon = [...by(families, EXPIRY, (row) => row.path)].filter(([, end]) => end && end - now < SOON).sort((a, b) => a[1] - b[1]);
  return soon.map(([path, end]) => ({ text: end > now ? `certificate ${path} expires in ${age(end - now)}` : `certificate ${path} has expired` }));
}

const ENDING = "/api/v1/namespaces?fieldSelector=status.phase%3DTerminating&limit=50";

// The namespaces of a list that are being deleted for a while. They wait for finalizers; conditions say for which.
export function stuck({ items }, now = Date.now()) {
  const late = items.filter(({ metadata }) => now - Date.parse(metadata.deletionTimestamp) > LONG * 1000);
  return late.map(({ metadata, status }) => {
    const waiting = (status.conditions || []).filter((one) => one.status === "True");
    const waits = waiting.find((one) => one.type === "NamespaceFinalizersRemaining") || waiting[0];
    return `namespace ${metadata.name} does not end${waits ? `: ${waits.message}` : ""}`;
  });
}

const CONFIGURATIONS = ["validating", "mutating"].map((kind) => `/apis/admissionregistration.k8s.io/v1/${kind}webhookconfigurations`);

// The texts, without webhooks that were removed: their counts remain. Who may not see webhooks is told of all.
export async function texts(attention) {
  const known = attention.some((one) => one.webhook) ? await visible(...CONFIGURATIONS) : null;
  const names = known && new Set(known.flatMap((list) => list.items).flatMap((one) => one.webhooks || []).map((one) => one.name));
  const told = attention.filter((one) => !one.webhook || !names || names.has(one.webhook)).map((one) => one.text);
  return [...told, ...await endless.get()];
}

// Something that is asked for twice a minute at most. Who is refused asks no more, for a refusal is kept in the server's journal.
class Rarely {
  // read: makes what is shown out of the answer.
  constructor(path, read) {
    this.path = path;
    this.read = read;
    this.user = null;
    this.next = 0;
    this.found = null;
  }

  get() {
    if (this.user !== token() || Date.now() >= this.next) {
      this.user = token();
      this.next = Date.now() + 30000;
      this.found = this.ask();
    }
    return this.found;
  }

  async ask() {
    try {
      return this.read(await getJSON(this.path));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 403) this.next = Infinity;
      return [];
    }
  }
}

const endless = new Rarely(ENDING, (list) => stuck(list));

// Who was not recognised or not allowed in the last minutes, the most frequent first: user, count.
export function refused({ requests }, now = Date.now()) {
  const counts = new Map();
  for (const { user, code, received } of requests) {
    if ((code === 401 || code === 403) && now - Date.parse(received) < MINUTES * 60000) counts.set(user, (counts.get(user) || 0) + 1);
  }
  return [...counts].map(([user, count]) => ({ user, count })).sort((one, other) => other.count - one.count).slice(0, USERS);
}

export const MINUTES = 5;
const USERS = 5;
export const refusals = new Rarely("/debug/requests?refused=true&limit=500", (list) => refused(list));

// The objects at these paths, null for a user who may not see them.
async function visible(...paths) {
  try {
    return await Promise.all(paths.map((path) => getJSON(path)));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return null;
  }
}
