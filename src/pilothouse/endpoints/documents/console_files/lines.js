// Lines out of a text that comes in pieces, and how they are shown: as text, whatever a program has written.

const LONGEST = 10000;
const COLOURS = /\x1b\[[0-9;:]*m/g;
// Control characters, marks of direction, and what else would hide or move the text around it.
const UNSEEN = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

const name = (character) => {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
};

// A line without colours, and with a visible sign for every character that is not.
export function plain(line) {
  return line.replace(/\r$/, "").replace(COLOURS, "").replace(UNSEEN, name);
}

// Puts lines together. Of a line of more than LONGEST characters the beginning is kept, and how many there were.
export class Lines {
  constructor() {
    this.rest = "";
    this.more = 0;
  }

  // The lines that end within the piece.
  add(text) {
    const out = [];
    text.split("\n").forEach((part, at) => {
      if (at) out.push(this.end());
      const room = LONGEST - this.rest.length;
      this.rest += part.slice(0, room);
      this.more += Math.max(0, part.length - room);
    });
    return out;
  }

  // The line that has come so far.
  end() {
    const line = plain(this.rest) + (this.more ? ` … and ${this.more.toLocaleString("en")} more characters` : "");
    this.rest = "";
    this.more = 0;
    return line;
  }
}
