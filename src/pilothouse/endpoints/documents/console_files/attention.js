// What needs attention although the server is ready, out of its metrics: APIServices that are unavailable, webhooks that cannot be called.

import { getJSON, Refusal } from "./api.js";
import { by } from "./exposition.js";

const CALLS = "apiserver_admission_webhook_request_total";
const FAILURES = ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"];
const FAILED = "calling_webhook_error";

const named = (row) => row.name;
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
      ...[...this.dead].map((name) => ({ webhook: name, text: `webhook ${name} could not be called` })),
    ];
  }
}

const CONFIGURATIONS = ["validating", "mutating"].map((kind) => `/apis/admissionregistration.k8s.io/v1/${kind}webhookconfigurations`);

// The texts, without webhooks that were removed: their counts remain. Who may not see webhooks is told of all.
export async function texts(attention) {
  let known = null;
  if (attention.some((one) => one.webhook)) {
    try {
      const lists = await Promise.all(CONFIGURATIONS.map((path) => getJSON(path)));
      known = new Set(lists.flatMap((list) => list.items).flatMap((one) => one.webhooks || []).map((one) => one.name));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
  return attention.filter((one) => !one.webhook || !known || known.has(one.webhook)).map((one) => one.text);
}
