// What a program has written to a terminal: lines, and where the cursor is.
//
// It understands what shells and plain programs send: text, CR, LF, backspace, Tab, moving the cursor, erasing, inserting and deleting.
// It leaves out colours and titles, answers no query, and has neither scrolling regions nor a second screen.

const MOST = 2000;
const LONGEST = 4096;
const TOKEN = new RegExp([
  "([^\\x00-\\x1f\\x7f-\\x9f]+)",  // text
  "\\x1b\\[([0-?]*)[ -/]*([@-~])",  // control sequences: parameters, what is done
  "\\x1b[\\]PX^_][^\\x07\\x1b]*(?:\\x07|\\x1b\\\\)",  // titles and other strings
  "\\x1b(?:[ -/]+[0-~]|[0-OQ-WYZ\\\\`-~])",  // other escapes
  "([\\x00-\\x1a\\x1c-\\x1f\\x7f-\\x9f])",  // single characters
].join("|"), "y");
const PART = /^\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)$/;
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export class Screen {
  constructor() {
    Object.assign(this, { columns: 80, rows: 24, lines: [""], row: 0, column: 0, rest: "" });
    this.brackets = false;  // whether pastes are to be marked
    this.whole = false;  // whether a program has asked for a screen of its own
    this.drawn();
  }

  // changed: the first line that is not as it was at the last drawing; dropped: how many have gone above since then.
  drawn() {
    this.changed = this.row;
    this.dropped = 0;
  }

  // The line at the top of what a program takes for the screen.
  get top() {
    return Math.max(0, this.lines.length - this.rows);
  }

  write(piece) {
    const text = this.rest + piece;
    this.rest = "";
    for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
      TOKEN.lastIndex = at;
      const found = TOKEN.exec(text);
      if (found) {
        const [, written, parameters, action, single] = found;
        if (written) this.put(written.replace(DIRECTIONS, "\ufffd"));
        else if (action) this.control(parameters, action);
        else if (single) this.move(single);
        continue;
      }
      const tail = text.length - at < LONGEST ? text.slice(at) : "";
      if (PART.test(tail)) {
        this.rest = tail;
        break;
      }
      TOKEN.lastIndex = at + 1;
    }
    this.trim();
  }

  trim() {
    const over = this.lines.length - MOST;
    if (over < MOST / 4) return;
    this.cut(0, over);
  }

  // Takes lines above the cursor's away.
  cut(at, count) {
    this.lines.splice(at, count);
    this.row = Math.max(0, this.row - count);
    this.changed = Math.max(0, this.changed - count);
    this.dropped += count;
  }

  set(row, line) {
    this.lines[row] = line;
    this.changed = Math.min(this.changed, row);
  }

  go(row, column) {
    this.changed = Math.min(this.changed, this.row);
    const { top } = this;
    this.row = Math.min(Math.max(row, top), top + this.rows - 1);
    this.column = Math.min(Math.max(column, 0), this.columns - 1);
    while (this.lines.length <= this.row) this.lines.push("");
    this.changed = Math.min(this.changed, this.row);
  }

  feed() {
    this.changed = Math.min(this.changed, this.row);
    this.row += 1;
    if (this.row === this.lines.length) this.lines.push("");
    if (this.lines.length >= MOST * 2) this.trim();
  }

  put(text) {
    for (let at = 0; at < text.length;) {
      if (this.column >= this.columns) {
        this.feed();
        this.column = 0;
      }
      const part = text.slice(at, at + this.columns - this.column);
      const line = this.lines[this.row], before = line.slice(0, this.column).padEnd(this.column);
      this.set(this.row, before + part + line.slice(this.column + part.length));
      this.column += part.length;
      at += part.length;
    }
  }

  move(character) {
    if (character === "\r") this.go(this.row, 0);
    else if (character === "\b") this.go(this.row, Math.min(this.column, this.columns - 1) - 1);
    else if (character === "\t") this.go(this.row, (this.column | 7) + 1);
    else if (character === "\n" || character === "\v" || character === "\f") this.feed();
  }

  control(parameters, action) {
    if (action === "h" || action === "l") return this.mode(parameters, action === "h");
    if (!/^[\d;]*$/.test(parameters)) return;
    const [first, second] = `${parameters};`.split(";").map((one) => Math.min(Number(one), 9999));
    const count = first || 1, line = this.lines[this.row], at = Math.min(this.column, this.columns - 1);
    const before = line.slice(0, at).padEnd(at), after = line.slice(at);
    switch (action) {
      case "A": return this.go(this.row - count, at);
      case "B": return this.go(this.row + count, at);
      case "C": return this.go(this.row, at + count);
      case "D": return this.go(this.row, at - count);
      case "G": return this.go(this.row, count - 1);
      case "H": case "f": return this.go(this.top + count - 1, (second || 1) - 1);
      case "J": return this.erase(first, before);
      case "K": return this.set(this.row, [before, " ".repeat(at + 1) + after.slice(1), ""][first] ?? line);
      case "P": return this.set(this.row, before + after.slice(count));
      case "X": return this.set(this.row, before + " ".repeat(Math.min(count, this.columns - at)) + after.slice(count));
      case "@": return this.set(this.row, (before + " ".repeat(Math.min(count, this.columns)) + after).slice(0, this.columns));
    }
  }

  // Erases what comes after the cursor (0), all of the screen (2), or what has left it above (3).
  erase(which, before) {
    if (which === 3) this.cut(0, this.top);
    if (which !== 0 && which !== 2) return;
    if (which === 0) this.set(this.row, before);
    for (let row = which ? this.top : this.row + 1; row < this.lines.length; row += 1) this.set(row, "");
  }

  mode(parameters, on) {
    if (parameters === "?2004") this.brackets = on;
    if (/^\?(?:47|1047|1049)$/.test(parameters)) this.whole = on;
  }
}
