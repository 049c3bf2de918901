// The lines in which two texts differ, by the shortest edit script (Myers 1986).

import { h } from "./dom.js";

const MOST = 1000;  // lines of difference; texts that differ in more are shown as replaced
const AROUND = 3;
const SIGNS = { "-": "del", "+": "ins", "@": "b" };

// The lines of both texts: [" ", line] is in both, ["-", line] in the first one, ["+", line] in the second one.
export function diff(before, after) {
  const a = before.split("\n"), b = after.split("\n");
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const [gone, come] = [a, b].map((lines) => lines.slice(head, lines.length - tail));
  const same = (line) => [" ", line];
  const replaced = () => [...gone.map((line) => ["-", line]), ...come.map((line) => ["+", line])];
  return [...a.slice(0, head).map(same), ...(between(gone, come) || replaced()), ...a.slice(a.length - tail).map(same)];
}

// The shortest way from a to b; null when it is longer than MOST. reach: how far into a each diagonal gets.
function between(a, b) {
  const most = Math.min(a.length + b.length, MOST), middle = most + 1;
  const reach = new Int32Array(2 * most + 3);
  const trace = [];
  for (let step = 0; step <= most; step += 1) {
    trace.push(reach.slice(middle - step - 1, middle + step + 2));
    for (let k = -step; k <= step; k += 2) {
      let x = isDown(reach, middle, step, k) ? reach[middle + k + 1] : reach[middle + k - 1] + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach[middle + k] = x;
      if (x >= a.length && x - k >= b.length) return back(a, b, trace);
    }
  }
  return null;
}

// Whether the step to diagonal k takes a line of b.
function isDown(reach, middle, step, k) {
  return k === -step || (k !== step && reach[middle + k - 1] < reach[middle + k + 1]);
}

function back(a, b, trace) {
  const out = [];
  let x = a.length, y = b.length;
  for (let step = trace.length - 1; step >= 0; step -= 1) {
    const reach = trace[step], middle = step + 1, k = x - y;
    const down = isDown(reach, middle, step, k);
    const from = reach[middle + (down ? k + 1 : k - 1)];
    const until = down ? from : from + 1;
    while (x > until && y > 0) {
      x -= 1;
      y -= 1;
      out.push([" ", a[x]]);
    }
    if (!step) break;
    if (down) out.push(["+", b[(y -= 1)]]);
    else out.push(["-", a[(x -= 1)]]);
  }
  return out.reverse();
}

// The lines that differ, with a few around them; ["…", ""] stands for those that are left out.
export function changes(lines) {
  const near = new Set();
  lines.forEach(([sign], at) => {
    if (sign !== " ") for (let one = at - AROUND; one <= at + AROUND; one += 1) near.add(one);
  });
  const out = [];
  lines.forEach((line, at) => {
    if (near.has(at)) out.push(line);
    else if (near.has(at - 1) || !at) out.push(["…", ""]);
  });
  return near.size ? out : [];
}

// Lines with their signs; "@" stands before what names those that follow.
export function drawn(lines) {
  return h("pre", { tabindex: "0", class: "diff" }, lines.map(([sign, line]) => h(SIGNS[sign] || "span", {}, `${sign} ${line}\n`)));
}
