// Open watches, what they are sent, and how far behind they are.

import { chart, tile } from "./charts.js";
import { h, panel, refusals, Table } from "./dom.js";
import { by, histograms, quantile, total } from "./exposition.js";
import { bytes, number, rate, seconds } from "./format.js";
import { course } from "./sampler.js";
import { window } from "./view_overview.js";

export const name = "watches";
export const title = "Watches";

const keyOf = (row) => (row.group ? `${row.resource}.${row.group}` : row.resource);
const open = (row) => (row.verb === "WATCH" ? keyOf(row) : undefined);
const DELAY = "pilothouse_watch_delivery_seconds";

export function show(root, { sampler }) {
  const place = h("div");
  const refuse = refusals(place);
  const tiles = {
    open: tile("Open watches"), events: tile("Events/s"), delay: tile("p99 delivery"),
    behind: tile("Behind"), ended: tile("Too slow"),
  };
  const lines = chart("Events per second and open watches", ["events", "watches"], rate);
  const table = new Table({
    label: "Watches by resource",
    key: (row) => row.key,
    sort: "-Open",
    empty: "Nothing has been watched.",
    columns: [
      { title: "Resource", of: (row) => row.key, show: (row) => row.key },
      { title: "Open", of: (row) => row.open, show: (row) => number(row.open), numeric: true },
      { title: "Events/s", of: (row) => row.sent, show: (row) => rate(row.sent), numeric: true, hint: "Events sent to all watches together" },
      { title: "Size", of: (row) => row.size, show: (row) => bytes(row.size), numeric: true, hint: "Bytes of an event, on average" },
      { title: "Changes/s", of: (row) => row.changes, show: (row) => rate(row.changes), numeric: true, hint: "Changes that the watch cache has received" },
      { title: "Behind", of: (row) => row.behind, show: (row) => number(row.behind), numeric: true, hint: "Revisions between the store's newest one that is known here and the one up to which this cache is complete" },
      { title: "Kept", of: (row) => row.capacity, show: (row) => number(row.capacity), numeric: true, hint: "Changes that the cache keeps at most, for watches that resume" },
      { title: "Too slow", of: (row) => row.ended, show: (row) => number(row.ended), numeric: true, tone: (row) => (row.ended ? "warn" : ""), hint: "Watches that were ended because their clients did not read, since the start" },
    ],
  });
  const span = h("p", { class: "soft note" });
  root.append(place, h("dl", { class: "tiles" }, Object.values(tiles).map((one) => one.root)),
    h("div", { class: "charts" }, lines.root), panel("By resource", span, table.root));

  const update = () => {
    refuse(sampler.error);
    if (!sampler.latest) return;
    const found = rows(sampler.latest);
    paint(sampler.latest, found, tiles);
    lines.update(course(sampler.latest.points, "events", "watches"));
    span.textContent = window(sampler.latest);
    table.update(found);
  };
  sampler.addEventListener("change", update);
  update();
  return () => sampler.removeEventListener("change", update);
}

function paint({ families, gained, seconds: length, points }, found, tiles) {
  const sum = (member) => found.reduce((all, row) => all + (row[member] || 0), 0);
  const delay = histograms(gained, DELAY, () => "all").get("all");
  const behind = Math.max(0, ...found.map((row) => row.behind).filter(Number.isFinite));
  tiles.open.update(number(sum("open")), { sub: `${found.filter((row) => row.open).length} resources`, points: course(points, "watches") });
  tiles.events.update(rate(sum("sent")), { sub: `${bytes((total(gained, "apiserver_watch_events_sizes_sum") || 0) / length)} a second`, points: course(points, "events") });
  tiles.delay.update(seconds(quantile(0.99, delay)), { sub: "commit to client" });
  tiles.behind.update(number(behind), { sub: "revisions at most" });
  tiles.ended.update(number(sum("ended")), { sub: "ended since start", tone: sum("ended") ? "warn" : "" });
}

function rows({ families, gained, seconds: length }) {
  const watches = by(families, "apiserver_longrunning_requests", open);
  const versions = by(families, "apiserver_watch_cache_resource_version", keyOf);
  const capacities = by(families, "watch_cache_capacity", keyOf);
  const ended = by(families, "apiserver_terminated_watchers_total", keyOf);
  const sent = by(gained, "apiserver_watch_events_total", keyOf);
  const sizes = histograms(gained, "apiserver_watch_events_sizes", keyOf);
  const changes = by(gained, "apiserver_watch_cache_events_received_total", keyOf);
  const newest = Math.max(...versions.values());
  const keys = new Set([...watches.keys(), ...versions.keys()].filter(Boolean));
  return [...keys].map((key) => {
    const size = sizes.get(key);
    return {
      key,
      open: watches.get(key) || 0,
      sent: (sent.get(key) || 0) / length,
      size: size && size.count ? size.sum / size.count : NaN,
      changes: (changes.get(key) || 0) / length,
      behind: versions.has(key) ? newest - versions.get(key) : NaN,
      capacity: capacities.has(key) ? capacities.get(key) : NaN,
      ended: ended.get(key) || 0,
    };
  });
}
