// The command line of kubectl that leads to the ports of a pod or a service: a page cannot listen on a port itself.

import { h } from "./dom.js";

export const forward = {
  name: "forward",
  title: "Port-forward",
  needs: () => ({ resource: "pods", subresource: "portforward", verb: "create", name: "" }),
  applies: ({ group, resource }) => !group && (resource === "pods" || resource === "services"),
  open: hint,
};

const PRIVILEGED = 1024;
const OTHER = 8000;

const local = (port) => (port < PRIVILEGED ? port + OTHER : port);

// The ports that kubectl forwards: those of TCP.
function ports({ kind, spec }) {
  const all = kind === "Service" ? (spec.ports || []).map((one) => [one.port, one])
    : [...(spec.initContainers || []), ...spec.containers].flatMap((one) => one.ports || []).map((one) => [one.containerPort, one]);
  return [...new Set(all.filter(([, { protocol }]) => !protocol || protocol === "TCP").map(([port]) => port))];
}

function commandFor(object) {
  const { namespace, name } = object.metadata;
  const pairs = ports(object).map((port) => `${local(port)}:${port}`);
  return `kubectl --namespace ${namespace} port-forward ${object.kind.toLowerCase()}/${name} ${pairs.join(" ") || "LOCAL:REMOTE"}`;
}

function hint({ object }) {
  const command = commandFor(object);
  const told = h("span", { role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(command);
    told.textContent = "Copied";
  };
  return h("div", {},
    h("p", {}, "Run this beside your browser; the application is then at a port of your own host."),
    h("pre", { tabindex: "0" }, command),
    navigator.clipboard && h("p", { class: "paging" }, h("button", { type: "button", onclick: copy }, "Copy"), told));
}
