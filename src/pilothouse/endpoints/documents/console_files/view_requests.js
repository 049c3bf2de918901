// The latest refusals with their reasons, the slowest requests with their stages, and all that is known of one of them.

import { getJSON, Refusal } from "./api.js";
import { field, h, refusals, refused, panel, Table } from "./dom.js";
import { number, seconds, since } from "./format.js";
import { bar } from "./charts.js";

export const name = "requests";
export const title = "Requests";

const PATH = "/debug/requests";
const EVERY = 10000;
const LIMIT = 100;

const when = { title: "Ago", of: (row) => -Date.parse(row.received), show: (row) => since(row.received), quiet: true, numeric: true };
const user = { title: "User", of: (row) => row.user, show: (row) => row.user };
const code = { title: "Code", of: (row) => row.code, show: (row) => row.code, numeric: true, tone: (row) => (row.code >= 500 ? "bad" : row.code >= 400 ? "warn" : "") };
const took = { title: "Took", of: (row) => row.seconds, show: (row) => seconds(row.seconds), numeric: true };

export function show(root, { paused, go, reveal }, settings) {
  const request = {
    title: "Request", wide: true, of: (row) => row.path, show: (row) => `${row.verb} ${row.path}`, open: (row) => reveal(row.auditID),
  };
  const place = h("div");
  const refuse = refusals(place);
  const key = (row) => row.auditID + row.received;
  const refusedOnes = new Table({
    label: "Latest refusals", key, empty: "No request was refused.",
    columns: [request, code, { title: "Reason", wide: true, of: (row) => row.reason || "", show: (row) => row.message || row.reason || "" }, user, when],
  });
  const slow = new Table({
    label: "Slowest requests", key, empty: "No request has ended yet.", columns: [request, took, code, user, when],
  });
  const inputs = {
    user: h("input", { type: "search", value: settings.get("user"), autocomplete: "off" }),
    resource: h("input", { type: "search", value: settings.get("resource"), autocomplete: "off", placeholder: "deployments.apps" }),
    namespace: h("input", { type: "search", value: settings.get("namespace"), autocomplete: "off" }),
  };
  const kept = h("p", { class: "soft note" });
  const chosen = () => Object.fromEntries(Object.entries(inputs).map(([member, input]) => [member, input.value.trim()]));
  const choose = () => {
    go("requests", chosen(), { quietly: true });
    turn(true);
  };
  root.append(
    h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault(), onchange: choose },
      field("User", inputs.user), field("Resource", inputs.resource), field("Namespace", inputs.namespace)),
    place, kept, panel("Latest refusals", refusedOnes.root), panel("Slowest requests", slow.root));

  const turn = async (now) => {
    if (!now && (paused() || document.hidden)) return;
    const query = new URLSearchParams(Object.entries(chosen()).filter(([, value]) => value));
    try {
      const [last, longest] = await Promise.all([
        getJSON(`${PATH}?refused=true&limit=${LIMIT}&${query}`), getJSON(`${PATH}?slowest=true&limit=${LIMIT}&${query}`),
      ]);
      refuse(null);
      kept.textContent = `Of ${number(last.kept)} requests that process ${last.server.process}${last.server.name && ` of ${last.server.name}`} has answered.`;
      refusedOnes.update(last.requests);
      slow.update(longest.requests);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refuse(error);
    }
  };
  const timer = setInterval(turn, EVERY);
  turn(true);
  return () => clearInterval(timer);
}

// What a dialog shows of a request: what GET /debug/requests/ID says.
export async function open(auditID) {
  let found;
  try {
    found = (await getJSON(`${PATH}/${encodeURIComponent(auditID)}`)).requests;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return ["Request", refused(error)];
  }
  const [one] = found;
  const causes = (one.answer.causes || []).map((cause) => [cause.field, cause.message || cause.reason].filter(Boolean).join(": ")).filter(Boolean);
  return [`${one.request.verb} ${one.request.path}`, h("p", { class: "why" }, one.why), facts(one), stages(one),
    causes.length > 0 && list("Causes", causes),
    one.admission && list("Admission", one.admission.map((step) =>
      `${step.plugin}${step.name ? ` ${step.name}` : ""} (${step.phase}): ${step.verdict}, ${seconds(step.seconds)}${step.message ? `: ${step.message}` : ""}`)),
    one.authorization && one.authorization.wouldAllow &&
      h("section", {}, h("h3", {}, "These would allow it"), block(one.authorization.wouldAllow))];
}

function block(text) {
  return h("pre", { tabindex: "0" }, text);
}

function list(heading, texts) {
  return h("section", {}, h("h3", {}, heading), h("ul", {}, texts.map((text) => h("li", {}, text))));
}

function facts({ auditID, request: asked, answer, authentication, impersonation, flowControl, authorization, commit, seconds: whole }) {
  const who = authentication.user ? authentication.user.username : "nobody";
  const rows = {
    Answer: [`${answer.code} ${answer.reason || ""}`, answer.message].filter(Boolean).join(": "),
    Took: seconds(whole),
    Received: asked.received,
    User: impersonation ? `${who}, as ${impersonation.user.username}` : who,
    "Recognised by": authentication.recognisedBy,
    Authorization: authorization && [authorization.decision, authorization.by && `by ${authorization.by}`, authorization.reason].filter(Boolean).join(", "),
    "Flow control": flowControl && `${flowControl.flowSchema}, ${flowControl.priorityLevel}, waited ${seconds(flowControl.queue.waitedSeconds)}`,
    Revision: commit && `${commit.revision}, written in ${seconds(commit.seconds)}`,
    Client: [asked.userAgent, asked.sourceIP].filter(Boolean).join(", "),
    "Audit ID": auditID,
  };
  return h("dl", { class: "facts" }, Object.entries(rows).filter(([, text]) => text).map(([label, text]) => [h("dt", {}, label), h("dd", {}, text)]));
}

function stages({ stages: all, seconds: whole }) {
  return h("section", {}, h("h3", {}, "Stages"), h("ol", { class: "stages" }, all.map((stage) => {
    const meter = h("span", { class: "meter" });
    bar(meter, whole ? stage.seconds / whole : 0, seconds(stage.seconds));
    return h("li", {}, h("span", {}, stage.name), meter);
  })));
}
