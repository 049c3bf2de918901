// Reads /metrics again and again, and keeps what the views show: differences over a minute, and courses of five.

import { getText, Refusal } from "./api.js";
import { SPAN } from "./charts.js";
import { Attention } from "./attention.js";
import { gained, histograms, parse, quantile, total } from "./exposition.js";

const EVERY = 5000;
const FIRST = 1500;
const WINDOW = 60000;
const WANTED = /^(aggregator_unavailable_apiservice$|apiserver_(admission_webhook_(request_total|rejection|fail_open)|request_(total|duration_seconds|terminations)|current_inflight|longrunning|watch_|resource_objects|storage_|terminated_watchers|flowcontrol_(current|dispatched|rejected|nominal))|etcd_request|pilothouse_|process_|kubernetes_build_info|watch_cache_)/;

export const READS = new Set(["GET", "LIST"]);
const LONG = new Set(["WATCH", "CONNECT"]);
export const brief = (row) => !LONG.has(row.verb);

export class Sampler extends EventTarget {
  // paused: says whether nothing is to be asked for.
  constructor(paused) {
    super();
    this.paused = paused;
    this.error = null;
    this.latest = null;
    this.servers = new Map();
    this.timer = 0;
    document.addEventListener("visibilitychange", () => document.hidden || this.soon(0));
  }

  start() {
    this.stopped = false;
    this.soon(0);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  soon(delay) {
    clearTimeout(this.timer);
    if (!this.stopped) this.timer = setTimeout(() => this.turn(), delay);
  }

  async turn() {
    if (!this.paused() && !document.hidden) {
      try {
        this.take(parse(await getText("/metrics"), (name) => WANTED.test(name)), Date.now());
        this.error = null;
      } catch (error) {
        if (!(error instanceof Refusal)) console.error(error);
        this.error = error;
      }
      this.dispatchEvent(new Event("change"));
    }
    this.soon(this.latest && this.latest.sinceStart ? FIRST : EVERY);
  }

  // Each process counts for itself, and a load balancer may lead to several: a reading is held against those of its own.
  take(families, at) {
    const started = total(families, "process_start_time_seconds") || 0;
    const server = this.servers.get(started) || { readings: [], points: [], attention: new Attention() };
    this.servers.set(started, server);
    const { readings, points } = server;
    const last = readings[readings.length - 1];
    readings.push({ at, families });
    while (readings.length > 2 && at - readings[0].at > WINDOW) readings.shift();
    const before = readings.length > 1 ? readings[0] : null;
    const seconds = before ? (at - before.at) / 1000 : at / 1000 - started;
    if (last) points.push(point(families, gained(families, last.families), at, (at - last.at) / 1000));
    while (points.length && at - points[0].at > SPAN) points.shift();
    this.latest = {
      at, families, points, seconds, started,
      attention: server.attention.take(families),
      gained: gained(families, before && before.families),
      sinceStart: !before,
    };
  }
}

function point(families, more, at, seconds) {
  const per = (name, test) => (total(more, name, test) || 0) / seconds;
  const times = histograms(more, "apiserver_request_duration_seconds", (row) => (brief(row) ? "all" : undefined)).get("all");
  return {
    at,
    reads: per("apiserver_request_total", (row) => READS.has(row.verb)),
    writes: per("apiserver_request_total", (row) => brief(row) && !READS.has(row.verb)),
    errors: per("apiserver_request_total", (row) => row.code >= "500"),
    median: quantile(0.5, times),
    slow: quantile(0.99, times),
    inflight: total(families, "apiserver_current_inflight_requests"),
    watches: total(families, "apiserver_longrunning_requests", (row) => row.verb === "WATCH") || 0,
    events: per("apiserver_watch_events_total"),
    memory: total(families, "process_resident_memory_bytes"),
    processor: per("process_cpu_seconds_total"),
    stored: per("etcd_requests_total"),
    size: total(families, "apiserver_storage_size_bytes"),
  };
}

// The points of one or more members, as charts want them.
export function course(points, ...members) {
  return points.map((one) => ({ at: one.at, values: members.map((member) => one[member]) }));
}
