// Events as they happen, the latest first.

import { field, h, refusals } from "./dom.js";
import { age } from "./format.js";
import { Live } from "./live.js";

export const name = "events";
export const title = "Events";

const EVENTS = { group: "", version: "v1", resource: "events", kind: "Event", namespaced: true, watchable: true };

// The server prints how long ago an event was; the table goes on showing that.
const last = ({ object }) => Date.parse(seen(object));
const lastSeen = { show: (row) => age((Date.now() - last(row)) / 1000), of: (row) => -last(row), quiet: true };

// When an event was last seen.
export function seen(event) {
  return (event.series && event.series.lastObservedTime) || event.lastTimestamp || event.eventTime || event.metadata.creationTimestamp;
}

export function show(root, context, settings) {
  const above = h("div");
  const namespace = h("input", { type: "search", value: settings.get("namespace"), autocomplete: "off", placeholder: "all" });
  const warnings = h("input", { type: "checkbox", checked: settings.get("warnings") === "true" });
  const filter = h("input", { type: "search", autocomplete: "off" });
  const state = h("span", { class: "state" });
  const place = h("div");
  const refuse = refusals(above);
  let live = null;

  const start = () => {
    if (live) live.stop();
    context.go("events", { namespace: namespace.value.trim(), warnings: warnings.checked && "true" }, { quietly: true });
    live = new Live({
      kind: EVENTS, place, refuse,
      label: "Events",
      namespace: namespace.value.trim(),
      selectors: { includeObject: "Object", ...(warnings.checked && { fieldSelector: "type=Warning" }) },
      empty: "No event is kept. Events go after --event-ttl, an hour by default.",
      paused: context.paused,
      announce: context.announce,
      say: (tone, text) => {
        state.dataset.state = tone;
        state.textContent = text;
      },
      order: (a, b) => last(b) - last(a) || Number(b.object.metadata.resourceVersion) - Number(a.object.metadata.resourceVersion),
      columns: { "Last Seen": lastSeen, Message: { wide: true }, Type: { tone: (row) => (row.object.type === "Warning" ? "warn" : "") } },
      filter: () => filter.value.trim().toLowerCase(),
      test: (row, text) => row.cells.join(" ").toLowerCase().includes(text),
    });
    place.replaceChildren();
  };
  namespace.addEventListener("change", start);
  warnings.addEventListener("change", start);
  filter.addEventListener("input", () => live.search());
  root.append(above,
    h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      field("Namespace", namespace), field("Contains", filter),
      h("label", { class: "check" }, warnings, " Warnings only")),
    h("section", { class: "panel", "aria-labelledby": "events" }, h("h2", { id: "events" }, "Latest first"), state, place));
  start();
  return () => live.stop();
}
