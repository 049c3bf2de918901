// How the server does: rates and latencies, by resource and verb, and the checks of its health.

import { getText } from "./api.js";
import { MINUTES, refusals as refusedUsers, texts } from "./attention.js";
import { chart, tile } from "./charts.js";
import { h, panel, refusals, Table } from "./dom.js";
import { by, histograms, quantile, total } from "./exposition.js";
import { bytes, number, percent, rate, seconds } from "./format.js";
import { brief, course, READS } from "./sampler.js";

export const name = "overview";
export const title = "Overview";

// How late the event loop comes to what is due: everything else waits while it is.
const LAG = "pilothouse_event_loop_lag_seconds";

const keyOf = (row) => (brief(row) ? `${row.verb}\n${row.group}\n${row.resource}\n${row.subresource}` : undefined);

export function show(root, { sampler }) {
  const place = h("div");
  const refuse = refusals(place);
  const health = h("p", { class: "health" });
  const users = h("p", { class: "soft note users" });
  const tiles = {
    requests: tile("Requests/s"), errors: tile("Server errors"), median: tile("Median latency"),
    slow: tile("p99 latency"), inflight: tile("In flight"), watches: tile("Open watches"),
    processor: tile("Processor"), memory: tile("Memory"),
  };
  const rates = chart("Requests per second", ["reads", "writes"], rate);
  const times = chart("Latency without watches", ["median", "p99"], seconds);
  const table = new Table({
    label: "Requests by resource and verb",
    key: (row) => row.key,
    sort: "-Per second",
    empty: "No request has been counted.",
    columns: [
      { title: "Resource", of: (row) => row.resource, show: (row) => row.resource },
      { title: "Verb", of: (row) => row.verb, show: (row) => row.verb },
      { title: "Per second", of: (row) => row.rate, show: (row) => rate(row.rate), numeric: true },
      { title: "p50", of: (row) => row.median, show: (row) => seconds(row.median), numeric: true },
      { title: "p90", of: (row) => row.most, show: (row) => seconds(row.most), numeric: true },
      { title: "p99", of: (row) => row.slow, show: (row) => seconds(row.slow), numeric: true, tone: (row) => (row.slow > 1 ? "bad" : "") },
      { title: "4xx", of: (row) => row.refused, show: (row) => number(row.refused), numeric: true, hint: "Refused for what the client has asked" },
      { title: "5xx", of: (row) => row.failed, show: (row) => number(row.failed), numeric: true, tone: (row) => (row.failed ? "bad" : ""), hint: "Failed on the side of the server" },
      { title: "Total", of: (row) => row.total, show: (row) => number(row.total), numeric: true, hint: "Since the process has started" },
    ],
  });
  const span = h("p", { class: "soft note" });

  root.append(health, users, place,
    h("dl", { class: "tiles" }, Object.values(tiles).map((one) => one.root)),
    h("div", { class: "charts" }, rates.root, times.root),
    panel("By resource and verb", span, table.root));

  const update = () => {
    checkHealth(health, sampler.latest ? sampler.latest.attention : []);
    tellUsers(users);
    refuse(sampler.error);
    if (!sampler.latest) return;
    paint(sampler.latest, tiles);
    rates.update(course(sampler.latest.points, "reads", "writes"));
    times.update(course(sampler.latest.points, "median", "slow"));
    span.textContent = window(sampler.latest);
    table.update(rows(sampler.latest));
  };
  sampler.addEventListener("change", update);
  update();
  return () => sampler.removeEventListener("change", update);
}

export function window({ sinceStart, seconds: length }) {
  return sinceStart ? "Since the process has started." : `Of the last ${Math.round(length)} seconds.`;
}

function paint({ families, gained, seconds: length, points }, tiles) {
  const per = (name, test) => (total(gained, name, test) || 0) / length;
  const all = per("apiserver_request_total", brief), failed = per("apiserver_request_total", (row) => row.code >= "500");
  const writes = per("apiserver_request_total", (row) => brief(row) && !READS.has(row.verb));
  const times = histograms(gained, "apiserver_request_duration_seconds", (row) => (brief(row) ? "all" : undefined)).get("all");
  const inflight = (kind) => total(families, "apiserver_current_inflight_requests", (row) => row.request_kind === kind);
  const files = total(families, "process_open_fds"), most = total(families, "process_max_fds");
  tiles.requests.update(rate(all), { sub: `${rate(writes)} writes`, points: course(points, "reads") });
  tiles.errors.update(percent(all ? failed / all : 0), { sub: `${rate(failed)} a second`, tone: failed ? "bad" : "", points: course(points, "errors") });
  tiles.median.update(seconds(quantile(0.5, times)), { sub: "without watches", points: course(points, "median") });
  tiles.slow.update(seconds(quantile(0.99, times)), { sub: "without watches", points: course(points, "slow") });
  tiles.inflight.update(number(inflight("readOnly") + inflight("mutating")), { sub: "reads and writes", points: course(points, "inflight") });
  const open = total(families, "apiserver_longrunning_requests", (row) => row.verb === "WATCH") || 0;
  tiles.watches.update(number(open), { sub: `${rate(per("apiserver_watch_events_total"))} events/s`, points: course(points, "watches") });
  const lag = quantile(0.99, histograms(gained, LAG, () => "all").get("all"));
  const late = Number.isFinite(lag) ? `loop lag ${seconds(lag)}` : "of one core";
  tiles.processor.update(percent(per("process_cpu_seconds_total")), { sub: late, points: course(points, "processor") });
  tiles.memory.update(bytes(total(families, "process_resident_memory_bytes")), { sub: `${number(files)} of ${number(most)} files`, points: course(points, "memory") });
}

function rows({ families, gained, seconds: length }) {
  const totals = by(families, "apiserver_request_total", keyOf);
  const counts = by(gained, "apiserver_request_total", keyOf);
  const coded = (from) => by(gained, "apiserver_request_total", (row) => (row.code[0] === from ? keyOf(row) : undefined));
  const refused = coded("4"), failed = coded("5");
  const times = histograms(gained, "apiserver_request_duration_seconds", keyOf);
  return [...totals].map(([key, sum]) => {
    const [verb, group, resource, subresource] = key.split("\n");
    const full = group ? `${resource}.${group}` : resource;
    return {
      key, verb, total: sum,
      resource: full ? full + (subresource ? `/${subresource}` : "") : "(other paths)",
      rate: (counts.get(key) || 0) / length,
      median: quantile(0.5, times.get(key)), most: quantile(0.9, times.get(key)), slow: quantile(0.99, times.get(key)),
      refused: refused.get(key) || 0, failed: failed.get(key) || 0,
    };
  });
}

// Who was refused lately, with the way to the requests.
async function tellUsers(place) {
  const found = await refusedUsers.get(), told = JSON.stringify(found);
  if (place.dataset.told === told) return; // a link keeps the focus
  place.dataset.told = told;
  const shown = found.flatMap(({ user, count }, at) =>
    [at ? ", " : "", h("a", { href: `#/requests?${new URLSearchParams({ user })}` }, user || "nobody"), ` (${number(count)})`]);
  place.replaceChildren(...(shown.length ? [`Refused in the last ${MINUTES} minutes: `, ...shown] : []));
}

// The checks of readyz that fail, or how many pass, and what needs attention although they do. An unready server answers 500 with the list.
async function checkHealth(place, attention) {
  let text;
  try {
    text = await getText("/readyz?verbose");
  } catch (error) {
    text = error.message;
  }
  const failing = [...text.matchAll(/^\[-\](\S+)/gm)].map((match) => match[1]);
  const passing = text.match(/^\[\+\]/gm) || [];
  const ready = failing.length ? `Not ready: ${failing.join(", ")}`
    : passing.length ? `Ready: all ${passing.length} checks pass` : text;
  const needed = await texts(attention);
  const told = [ready, ...needed].join("; ");
  place.dataset.tone = failing.length || !passing.length ? "bad" : needed.length ? "warn" : "good";
  if (place.textContent !== told) place.textContent = told;
}
