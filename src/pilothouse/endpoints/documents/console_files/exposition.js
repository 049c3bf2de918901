// Reads the text format of Prometheus, and what two readings say together: rates and quantiles.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

// The series of each family that `wanted` lets through: a map of its name to a map of the labels' text to a Series.
export function parse(text, wanted) {
  const families = new Map();
  for (const line of text.split("\n")) {
    if (!line || line[0] === "#") continue;
    const match = LINE.exec(line);
    if (!match || !wanted(match[1])) continue;
    let series = families.get(match[1]);
    if (!series) families.set(match[1], (series = new Map()));
    series.set(match[2] || "", Number(match[3].replace("Inf", "Infinity")));
  }
  return families;
}

const known = new Map();

// Labels as an object. Series come back in every reading, so their labels are read once.
export function labels(text) {
  let found = known.get(text);
  if (!found) {
    if (known.size > 50000) known.clear();
    found = {};
    for (const [, name, value] of text.matchAll(LABEL)) {
      found[name] = value.includes("\\") ? value.replace(/\\[n"\\]/g, (escape) => ESCAPES[escape]) : value;
    }
    known.set(text, found);
  }
  return found;
}

// The only value of a family, or the sum of all its series that `test` lets through; NaN when it has none.
export function total(families, name, test = () => true) {
  let out = NaN;
  for (const [text, value] of families.get(name) || []) {
    if (test(labels(text))) out = (Number.isNaN(out) ? 0 : out) + value;
  }
  return out;
}

// Sums the series of a family by a key that `keyOf` makes of their labels; undefined leaves a series out.
export function by(families, name, keyOf) {
  const out = new Map();
  for (const [text, value] of families.get(name) || []) {
    const key = keyOf(labels(text));
    if (key !== undefined) out.set(key, (out.get(key) || 0) + value);
  }
  return out;
}

// What counters have gained between two readings. A series that has become smaller was reset: it counts from zero.
export function gained(now, before) {
  const out = new Map();
  for (const [name, series] of now) {
    const old = before && before.get(name);
    const rows = new Map();
    for (const [text, value] of series) {
      const last = (old && old.get(text)) || 0;
      rows.set(text, value >= last ? value - last : value);
    }
    out.set(name, rows);
  }
  return out;
}

// Histograms by a key: a map to {count, sum, buckets: [[upper bound, cumulative count]...]}.
export function histograms(families, name, keyOf) {
  const out = new Map();
  const of = (key) => {
    if (!out.has(key)) out.set(key, { count: 0, sum: 0, bounds: new Map() });
    return out.get(key);
  };
  for (const [key, value] of by(families, `${name}_count`, keyOf)) of(key).count = value;
  for (const [key, value] of by(families, `${name}_sum`, keyOf)) of(key).sum = value;
  for (const [text, value] of families.get(`${name}_bucket`) || []) {
    const row = labels(text);
    const key = keyOf(row);
    if (key === undefined) continue;
    const bounds = of(key).bounds;
    const bound = row.le === "+Inf" ? Infinity : Number(row.le);
    bounds.set(bound, (bounds.get(bound) || 0) + value);
  }
  for (const one of out.values()) one.buckets = [...one.bounds].sort((a, b) => a[0] - b[0]);
  return out;
}

// A quantile as Prometheus' histogram_quantile estimates it; NaN where nothing was counted.
export function quantile(q, { buckets } = { buckets: [] }) {
  const count = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (!count) return NaN;
  const rank = q * count;
  let lower = 0, below = 0;
  for (const [bound, cumulative] of buckets) {
    if (cumulative >= rank) {
      if (bound === Infinity) return lower;
      return cumulative === below ? bound : lower + ((bound - lower) * (rank - below)) / (cumulative - below);
    }
    lower = bound;
    below = cumulative;
  }
  return lower;
}
