// Objects in YAML. The texts are the server's, and are never parsed here: numbers of 64 bits are kept.

import { Refusal, send } from "./api.js";

const NOT_ACCEPTABLE = 406;
const PLAIN = /^[A-Za-z][\w./-]*$/;
const WORDS = /^(y|yes|n|no|on|off|true|false|null)$/i;

// The text of an object; in JSON from a server that has no YAML, as aggregated ones may.
export async function yamlOf(path) {
  try {
    return await (await send(path, { accept: "application/yaml" })).text();
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== NOT_ACCEPTABLE) throw error;
    return JSON.stringify(await (await send(path)).json(), null, 2);
  }
}

// An object's text in three parts: before its managed fields, these, and what follows. Only members of the object itself
// start in the first column, and only those of its metadata in the third one of the lines that follow.
export function fold(text) {
  const lines = text.split("\n");
  const metadata = lines.indexOf("metadata:");
  const within = (at) => at < lines.length && lines[at].startsWith("  ");
  let from = metadata + 1;
  while (within(from) && lines[from] !== "  managedFields:") from += 1;
  if (metadata < 0 || !within(from)) return [text, "", ""];
  let to = from + 1;
  while (within(to) && /^ {2}[ -]/.test(lines[to])) to += 1;
  return [lines.slice(0, from), lines.slice(from, to), lines.slice(to)].map((part, at) => part.join("\n") + (at < 2 ? "\n" : ""));
}

export function withoutManagers(text) {
  const [before, , after] = fold(text);
  return before + after;
}

// A value as YAML. What need not be a text to every reader is quoted as in JSON, which YAML includes.
export function write(value, indent = "") {
  if (typeof value === "string" && PLAIN.test(value) && !WORDS.test(value)) return value;
  if (value === null || typeof value !== "object" || !Object.keys(value).length) return quoted(value);
  if (Array.isArray(value)) return value.map((one) => `\n${indent}- ${write(one, `${indent}  `).trimStart()}`).join("");
  return Object.entries(value).map(([key, one]) => {
    const shown = write(one, Array.isArray(one) ? indent : `${indent}  `);
    return `\n${indent}${write(key)}:${shown.startsWith("\n") ? "" : " "}${shown}`;
  }).join("");
}

// Characters that cannot be seen, or that YAML takes for ends of lines, are escaped.
function quoted(value) {
  return JSON.stringify(value).replace(/[\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
