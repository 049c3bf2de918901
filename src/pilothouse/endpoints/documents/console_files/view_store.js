// The store and the memory: size, operations and their latencies, objects by resource, bytes by cache.

import { bar, chart, tile } from "./charts.js";
import { getText } from "./api.js";
import { h, panel, refusals, Table } from "./dom.js";
import { by, histograms, quantile, total } from "./exposition.js";
import { bytes, number, rate, seconds } from "./format.js";
import { course } from "./sampler.js";
import { window } from "./view_overview.js";

export const name = "store";
export const title = "Store and memory";

const DURATION = "etcd_request_duration_seconds";

const PARTS = { object: "watch cache: objects", ring: "watch cache: recent changes" };

export function show(root, { sampler }) {
  const place = h("div");
  const refuse = refusals(place);
  const tiles = {
    health: tile("Store"), size: tile("Size"), objects: tile("Objects"), rate: tile("Operations/s"),
    slow: tile("p99 operation"), errors: tile("Errors"), memory: tile("Memory"), caches: tile("Caches"),
  };
  const size = chart("Size of the store", ["size"], bytes);
  const memory = chart("Memory of the process", ["memory"], bytes);
  const caches = new Table({
    label: "Memory by cache",
    key: (row) => row.name,
    sort: "-Bytes",
    empty: "Nothing is cached.",
    columns: [
      { title: "Cache", of: (row) => row.name, show: (row) => row.name },
      { title: "Bytes", of: (row) => row.bytes, paint: (cell, row) => bar(cell, row.share, bytes(row.bytes)), numeric: true },
      { title: "Entries", of: (row) => row.entries, show: (row) => number(row.entries), numeric: true },
    ],
  });
  const operations = new Table({
    label: "Operations of the store",
    key: (row) => row.name,
    sort: "-Per second",
    empty: "The store has not been asked for anything.",
    columns: [
      { title: "Operation", of: (row) => row.name, show: (row) => row.name },
      { title: "Per second", of: (row) => row.rate, show: (row) => rate(row.rate), numeric: true },
      { title: "p50", of: (row) => row.median, show: (row) => seconds(row.median), numeric: true },
      { title: "p99", of: (row) => row.slow, show: (row) => seconds(row.slow), numeric: true },
      { title: "Total", of: (row) => row.total, show: (row) => number(row.total), numeric: true },
    ],
  });
  const span = h("p", { class: "soft note" });
  root.append(place, h("dl", { class: "tiles" }, Object.values(tiles).map((one) => one.root)),
    h("div", { class: "charts" }, size.root, memory.root),
    h("div", { class: "pair" }, panel("Memory by cache", caches.root), panel("Operations", span, operations.root)));

  const update = () => {
    check(tiles.health);
    refuse(sampler.error);
    if (!sampler.latest) return;
    const { latest } = sampler;
    const kept = cacheRows(latest);
    paint(latest, kept, tiles);
    size.update(course(latest.points, "size"));
    memory.update(course(latest.points, "memory"));
    caches.update(kept);
    span.textContent = window(latest);
    operations.update(operationRows(latest));
  };
  sampler.addEventListener("change", update);
  update();
  return () => sampler.removeEventListener("change", update);
}

async function check(place) {
  try {
    await getText("/readyz/etcd");
    place.update("Healthy", { tone: "good", sub: "check passes" });
  } catch (error) {
    place.update("Unhealthy", { tone: "bad", sub: error.message.slice(0, 80) });
  }
}

function paint({ families, gained, seconds: length, points }, kept, tiles) {
  const times = histograms(gained, DURATION, () => "all").get("all");
  const failed = total(gained, "etcd_request_errors_total") || 0;
  tiles.size.update(bytes(total(families, "apiserver_storage_size_bytes")), { sub: "of the database", points: course(points, "size") });
  tiles.objects.update(number(total(families, "apiserver_storage_objects", (row) => row.resource)), { sub: "of all kinds" });
  tiles.rate.update(rate((total(gained, "etcd_requests_total") || 0) / length), { sub: "reads and writes", points: course(points, "stored") });
  tiles.slow.update(seconds(quantile(0.99, times)), { sub: `median ${seconds(quantile(0.5, times))}` });
  tiles.errors.update(number(failed), { sub: `in ${Math.round(length)} s`, tone: failed ? "bad" : "" });
  tiles.memory.update(bytes(total(families, "process_resident_memory_bytes")), { sub: "of the process", points: course(points, "memory") });
  tiles.caches.update(bytes(kept.reduce((all, row) => all + row.bytes, 0)), { sub: "in all of them" });
}

function cacheRows({ families }) {
  const entries = by(families, "pilothouse_cache_entries", (row) => row.cache);
  const sizes = by(families, "pilothouse_cache_bytes", (row) => row.cache);
  for (const part of ["object", "ring"]) {
    const size = total(families, `pilothouse_watch_cache_${part}_bytes`);
    if (Number.isFinite(size)) sizes.set(PARTS[part], size);
  }
  const most = Math.max(1, ...sizes.values());
  return [...sizes].map(([cache, size]) => ({ name: cache, bytes: size, share: size / most, entries: entries.has(cache) ? entries.get(cache) : NaN }));
}

function operationRows({ families, gained, seconds: length }) {
  const keyOf = (row) => row.operation;
  const counts = by(gained, "etcd_requests_total", keyOf);
  const times = histograms(gained, DURATION, keyOf);
  return [...by(families, "etcd_requests_total", keyOf)].map(([operation, sum]) => ({
    name: operation, total: sum, rate: (counts.get(operation) || 0) / length,
    median: quantile(0.5, times.get(operation)), slow: quantile(0.99, times.get(operation)),
  }));
}
