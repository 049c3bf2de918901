// What logs and terminals share: the containers of a pod, how they tell how it goes, and how they scroll.

import { h } from "./dom.js";

const DEFAULT = "kubectl.kubernetes.io/default-container";
const NEAR = 40;
const LISTS = { containers: "Containers", initContainers: "Init containers", ephemeralContainers: "Ephemeral containers" };

export function isPod({ group, resource }) {
  return resource === "pods" && !group;
}

// A choice of the containers of a pod; the one that kubectl takes is chosen.
export function containers({ metadata, spec }) {
  const chosen = (metadata.annotations || {})[DEFAULT];
  const option = ({ name }) => h("option", { selected: name === chosen }, name);
  return h("select", {}, Object.entries(LISTS).filter(([list]) => (spec[list] || []).length)
    .map(([list, label]) => h("optgroup", { label }, spec[list].map(option))));
}

// A place that tells how it goes, and its function say(tone, text).
export function teller() {
  const state = h("span", { class: "state", role: "status" });
  return [state, (tone, text) => {
    if (state.textContent === text) return;
    state.dataset.state = tone;
    state.textContent = text;
  }];
}

// Changes a text that can be scrolled; its end stays in view if it was.
export function atEnd(sheet, change) {
  const near = sheet.scrollHeight - sheet.scrollTop - sheet.clientHeight < NEAR;
  change();
  if (near) sheet.scrollTop = sheet.scrollHeight;
}
