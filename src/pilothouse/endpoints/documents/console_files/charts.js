// Small line charts in SVG, of the readings of the last minutes.

import { h } from "./dom.js";
import { age, clock } from "./format.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const SHORTEST = 60000;
export const SPAN = 300000;

// How many milliseconds a chart goes back: as far as there are points, within bounds.
function reach(points) {
  const length = points.length ? points[points.length - 1].at - points[0].at : 0;
  return Math.min(SPAN, Math.max(SHORTEST, length));
}

function svg(tag, attributes) {
  const out = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) out.setAttribute(name, value);
  return out;
}

function drawing(height, count) {
  const lines = Array.from({ length: count }, (_, at) => svg("polyline", { class: `line s${at}`, points: "" }));
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  root.append(...lines);
  return { root, lines };
}

// Draws each line of values over the times of the points; returns the largest value.
function draw({ lines }, points, height) {
  const span = reach(points), now = points.length ? points[points.length - 1].at : 0;
  const values = points.flatMap((point) => point.values).filter(Number.isFinite);
  const most = Math.max(...values, 0);
  lines.forEach((line, at) => {
    const shown = points.filter((point) => Number.isFinite(point.values[at]) && now - point.at <= span);
    line.setAttribute("points", shown.map((point) => {
      const x = WIDTH * (1 - (now - point.at) / span);
      const y = height - 2 - (most ? (point.values[at] / most) * (height - 4) : 0);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    }).join(" "));
  });
  return most;
}

// A number with its name and its course. The course is decoration: the number says the same.
export function tile(label, hint = "") {
  const value = h("dd", {}, "–");
  const note = h("dd", { class: "soft" }, hint);
  const picture = drawing(28, 1);
  return {
    root: h("div", { class: "tile" }, h("dt", {}, label), value, note, h("dd", { class: "course" }, picture.root)),
    update(text, { sub = hint, tone = "", points = [] } = {}) {
      value.textContent = text;
      value.dataset.tone = tone;
      note.textContent = sub;
      draw(picture, points, 28);
    },
  };
}

// A chart of several lines. Its description says the latest values; the pointer shows those of other moments.
export function chart(title, names, format) {
  const height = 110;
  const picture = drawing(height, names.length);
  const top = h("span", { class: "top soft" });
  const values = names.map(() => h("b", {}, "–"));
  const when = h("span", { class: "when soft" });
  const legend = h("p", { class: "legend" }, names.map((name, at) =>
    h("span", { class: `key s${at}` }, `${name} `, values[at])), when);
  const plot = h("div", { class: "plot", role: "img", "aria-label": title }, picture.root, top);
  const start = h("span", {}, "a minute ago");
  let points = [];

  function say(point, moment) {
    values.forEach((value, at) => (value.textContent = point ? format(point.values[at]) : "–"));
    when.textContent = moment;
  }

  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const last = points.length ? points[points.length - 1].at : 0;
    const at = last - reach(points) * (1 - (event.clientX - box.left) / box.width);
    const near = points.reduce((a, b) => (!a || Math.abs(b.at - at) < Math.abs(a.at - at) ? b : a), null);
    if (near) say(near, clock(near.at));
  });
  plot.addEventListener("pointerleave", () => say(points[points.length - 1], ""));

  return {
    root: h("figure", { class: "chart" }, h("figcaption", {}, title), legend, plot,
      h("p", { class: "axis soft", "aria-hidden": "true" }, start, h("span", {}, "now"))),
    update(fresh) {
      points = fresh;
      const point = points[points.length - 1];
      const most = draw(picture, points, height);
      start.textContent = `${age(reach(points) / 1000)} ago`;
      top.textContent = most ? format(most) : "";
      say(point, "");
      const said = names.map((name, at) => `${name} ${point ? format(point.values[at]) : "unknown"}`);
      plot.setAttribute("aria-label", `${title}; now: ${said.join(", ")}`);
    },
  };
}

// A bar that fills its cell by a share between 0 and 1, with a text on it.
export function bar(cell, share, text, tone = "") {
  let fill = cell.querySelector(".fill");
  if (!fill) {
    fill = h("span", { class: "fill" });
    cell.replaceChildren(h("span", { class: "gauge" }, fill), h("span", { class: "gauge-text" }));
  }
  fill.style.width = `${Math.min(100, Math.max(0, share * 100 || 0))}%`;
  fill.dataset.tone = tone;
  cell.lastChild.textContent = text;
}
