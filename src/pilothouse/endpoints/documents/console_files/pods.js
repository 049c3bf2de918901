// What logs and terminals know of pods: their containers; and how both tell how it goes.

import { h } from "./dom.js";

const DEFAULT = "kubectl.kubernetes.io/default-container";
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
    state.dataset.state = tone;
    state.textContent = text;
  }];
}
