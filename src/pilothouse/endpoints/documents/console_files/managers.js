// Fields and who manages them, by an object's metadata.managedFields (FieldsV1).

export const MANAGER = "pilothouse-console";
const APPLY = "Apply";

const entries = (object) => (object.metadata.managedFields || []).filter((one) => !one.subresource);

// The part of an object that was applied from here, as a text of `kubectl apply` would have it; null: nothing was.
export function applied(object) {
  const own = entries(object).find((one) => one.manager === MANAGER && one.operation === APPLY);
  return own ? part(object, own.fieldsV1) : null;
}

// What the fields hold of a value: "f:NAME" is a member, 'k:{"name":"a"}' an item by its keys, "v:VALUE" and "i:INDEX" other
// items. The value itself, where nothing is below.
function part(value, fields) {
  const below = Object.keys(fields).filter((key) => key !== ".");
  if (!below.length || value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    return value.flatMap((item, at) => {
      const key = below.find((one) => isItem(one, item, at));
      return key ? [part(item, fields[key])] : [];
    });
  }
  const members = below.filter((key) => key.startsWith("f:") && Object.hasOwn(value, key.slice(2)));
  return Object.fromEntries(members.map((key) => [key.slice(2), part(value[key.slice(2)], fields[key])]));
}

function isItem(key, item, at) {
  const text = key.slice(2);
  if (key.startsWith("i:")) return Number(text) === at;
  const wanted = JSON.parse(text);
  if (key.startsWith("v:")) return JSON.stringify(item) === JSON.stringify(wanted);
  return Object.entries(wanted).every(([name, value]) => item[name] === value);
}

// The fields that other managers have before a change and no longer after it: manager, applied, paths.
export function taken(before, after) {
  const same = (a, b) => a.manager === b.manager && a.operation === b.operation && a.apiVersion === b.apiVersion;
  return entries(before).filter((one) => one.manager !== MANAGER).map((one) => {
    const rest = new Set(paths((entries(after).find((other) => same(one, other)) || {}).fieldsV1 || {}));
    return { manager: one.manager, applied: one.operation === APPLY, paths: paths(one.fieldsV1).filter((path) => !rest.has(path)) };
  }).filter((one) => one.paths.length);
}

// The leaves of fields, as conflicts of server-side apply name them: .data.a, .spec.containers[name="c"].image.
function paths(fields, above = "") {
  const below = Object.entries(fields).filter(([key]) => key !== ".");
  if (!below.length) return above ? [above] : [];
  return below.flatMap(([key, inner]) => paths(inner, above + step(key)));
}

function step(key) {
  const text = key.slice(2);
  if (key.startsWith("f:")) return `.${text}`;
  if (!key.startsWith("k:")) return `[${key.startsWith("v:") ? "=" : ""}${text}]`;
  return `[${Object.entries(JSON.parse(text)).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join()}]`;
}
