// The frame around the views: who looks, which view is shown, whether the numbers move.

import { Refusal, setToken, token, whoAmI } from "./api.js";
import { dialog, h, refusals } from "./dom.js";
import { total } from "./exposition.js";
import { age } from "./format.js";
import { kept } from "./history.js";
import { Sampler } from "./sampler.js";
import * as events from "./view_events.js";
import * as timeline from "./view_history.js";
import * as objects from "./view_objects.js";
import * as overview from "./view_overview.js";
import * as queues from "./view_queues.js";
import * as requests from "./view_requests.js";
import * as store from "./view_store.js";
import * as watches from "./view_watches.js";

const VIEWS = { overview, requests, watches, queues, store, objects, events, history: timeline };

const at = (id) => document.getElementById(id);
const main = at("main"), nav = at("views"), pause = at("pause"), sign = at("sign");

let paused = false;
let stop = () => {};
const sampler = new Sampler(() => paused);
const context = {
  sampler,
  paused: () => paused,
  announce: (text) => (at("announcer").textContent = text),
  go,
  reveal: (value) => {
    const { view, settings } = place();
    const depth = ((history.state && history.state.depth) || 0) + 1;
    history.pushState({ depth }, "", address(view.name, { ...Object.fromEntries(settings), open: value }));
    show(true);
  },
  close: () => box && box.close(),
};

// What is open over the view: its name in the address, and its dialog. The state of an entry of the history has `depth`:
// how many dialogs were opened one after the other, so that as many steps back lead to the view without them.
let opened = "", box = null;
let shown = null;

// The address of a view with its settings, which is kept in the fragment so that it can be shared.
export function address(view, settings = {}) {
  const query = new URLSearchParams(Object.entries(settings).filter(([, value]) => value));
  return `#/${view}${query.size ? `?${query}` : ""}`;
}

function go(view, settings, { quietly = false } = {}) {
  if (!quietly) {
    location.hash = address(view, settings);
    return;
  }
  history.replaceState(history.state, "", address(view, { ...settings, open: opened }));
  shown = place().rest;
}

// What the address says: the view, its settings, what is open over it; rest: the address without the latter.
function place() {
  const [name, query] = location.hash.replace(/^#\//, "").split("?");
  const settings = new URLSearchParams(query);
  const open = settings.get("open") || "";
  settings.delete("open");
  return { view: VIEWS[name] || overview, settings, open, rest: `${name}?${settings}` };
}

function show(focus) {
  const { view, settings, open, rest } = place();
  if (rest !== shown) {
    reveal(view, "", settings);
    shown = rest;
    opened = open;
    build(view, settings, focus);
    opened = "";
  }
  reveal(view, open, settings);
}

// Opens a dialog, and closes the one before it.
async function reveal(view, value, settings) {
  if (value === opened) return;
  opened = value;
  const before = box;
  box = null;
  if (before) before.close();
  if (!value || !view.open) return;
  const ending = new AbortController();
  const content = await view.open(value, settings, { ...context, signal: ending.signal });
  if (opened !== value) {
    ending.abort();
    return;
  }
  const made = box = dialog(...content);
  made.addEventListener("close", () => {
    ending.abort();
    if (box === made) leave();
  });
}

// The user has closed the dialog: one step back.
function leave() {
  box = null;
  opened = "";
  const { view, settings } = place();
  if (history.state && history.state.depth) history.back();
  else history.replaceState(null, "", address(view.name, Object.fromEntries(settings)));
}

function build(view, settings, focus) {
  stop();
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.view !== view.name) {
      link.removeAttribute("aria-current");
      continue;
    }
    link.setAttribute("aria-current", "page");
    nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
  }
  document.title = `${view.title} – Pilothouse`;
  const heading = h("h1", { tabindex: "-1" }, view.title);
  main.replaceChildren(heading);
  stop = view.show(main, context, settings) || (() => {});
  if (focus) heading.focus();
}

function open(user, keeps) {
  at("user").textContent = user.username;
  sign.hidden = false;
  sign.textContent = token() ? "Sign out" : "Use a token";
  nav.querySelector("[data-view=history]").hidden = !keeps;
  nav.hidden = pause.hidden = false;
  sampler.start();
  shown = null;
  show(false);
}

function ask(error) {
  stop();
  reveal(overview, "", null);
  sampler.stop();
  stop = () => {};
  nav.hidden = pause.hidden = sign.hidden = true;
  at("user").textContent = "";
  document.title = "Sign in – Pilothouse";
  const place = h("div");
  const input = h("input", {
    id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-help",
  });
  const submit = async (event) => {
    event.preventDefault();
    setToken(input.value.trim());
    if (token()) await enter();
  };
  main.replaceChildren(
    h("form", { class: "panel sign-in", onsubmit: submit },
      h("h1", {}, "Sign in"),
      place,
      h("label", { for: "token" }, "Bearer token"),
      input,
      h("p", { id: "token-help", class: "soft" },
        "Kept by this tab until it is closed, and sent to this server only. What you see is what its user may read. ",
        "A token of a service account: ", h("code", {}, "kubectl create token NAME")),
      h("button", { class: "primary" }, "Sign in"),
      h("p", { class: "soft" }, "With a client certificate in the browser no token is needed: import it, and reload this page.")));
  refusals(place)(error);
  input.focus();
}

async function enter() {
  try {
    open(await whoAmI(), await kept());
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const wanted = token() || error.status === 0;
    if (error.status === 401 || error.status === 403) setToken("");
    ask(wanted ? error : null);
  }
}

sampler.addEventListener("change", () => {
  const { latest } = sampler;
  if (!latest) return;
  const version = [...(latest.families.get("kubernetes_build_info") || new Map()).keys()].join().match(/git_version="([^"]+)"/);
  const uptime = age(latest.at / 1000 - total(latest.families, "process_start_time_seconds"));
  const many = sampler.servers.size > 1 ? ` · one of ${sampler.servers.size} processes` : "";
  at("server").textContent = `${version ? version[1] : ""} · up ${uptime}${many}`;
});

for (const [name, view] of Object.entries(VIEWS)) {
  nav.append(h("a", { href: address(name), "data-view": view.name, "data-title": view.title }, view.title));
}
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Paused" : "Pause";
  context.announce(paused ? "Updates are paused" : "Updates go on");
  if (!paused) sampler.soon(0);
});
sign.addEventListener("click", () => {
  setToken("");
  ask(null);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener("unauthorized", (event) => {
  if (!nav.hidden) {
    setToken("");
    ask(event.detail);
  }
});
window.addEventListener("hashchange", () => nav.hidden || show(true));
enter();
