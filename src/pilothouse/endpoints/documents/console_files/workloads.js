// Scales what has a scale, and restarts the pods of workloads as kubectl does.

import { getJSON, send } from "./api.js";
import { doing } from "./doing.js";
import { field, h } from "./dom.js";
import { MANAGER } from "./managers.js";

const RESTARTED = "kubectl.kubernetes.io/restartedAt";
const RESTARTABLE = ["daemonsets", "deployments", "statefulsets"];
const QUERY = `fieldManager=${MANAGER}&fieldValidation=Strict`;

export const scale = {
  name: "scale", title: "Scale", writes: true,
  needs: () => ({ verb: "patch", subresource: "scale" }),
  applies: (kind) => kind.subresources.includes("scale"),
  open: async ({ name, object, path, context }) => {
    const { spec = {}, status = {} } = await getJSON(`${path}/scale`);
    const input = h("input", { type: "number", min: 0, step: 1, required: true, value: String(spec.replicas || 0), autofocus: true });
    const act = async () => {
      const body = { spec: { replicas: Number(input.value) } };
      await send(`${path}/scale?${QUERY}`, { method: "PATCH", type: "application/merge-patch+json", body });
      return `${object.kind} ${name} is scaled to ${input.value}`;
    };
    return doing({ label: "Scale", act, done: context.close, context },
      h("p", {}, `${spec.replicas || 0} are wanted, ${status.replicas || 0} are there.`), field("Replicas", input));
  },
};

export const restart = {
  name: "restart", title: "Restart", writes: true,
  needs: () => ({ verb: "patch" }),
  applies: ({ group, resource }, object) => group === "apps" && RESTARTABLE.includes(resource) && !object.spec.paused,
  open: ({ name, object, path, context }) => {
    const act = async () => {
      const now = new Date().toISOString().replace(/\.\d+/, "");
      const body = { spec: { template: { metadata: { annotations: { [RESTARTED]: now } } } } };
      await send(`${path}?${QUERY}`, { method: "PATCH", type: "application/strategic-merge-patch+json", body });
      return `${object.kind} ${name} restarts`;
    };
    return doing({ label: "Restart", act, done: context.close, context },
      h("p", {}, `Its pods are replaced as its strategy says: the template gets the annotation ${RESTARTED}, as with kubectl rollout restart.`));
  },
};
