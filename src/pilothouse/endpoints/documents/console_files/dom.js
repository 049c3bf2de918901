// Elements, panels and tables. Text is only ever set as text.

// An element with attributes, `on...` listeners and children; false and null leave an attribute or a child out.
export function h(tag, attributes = {}, ...children) {
  const out = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) out.addEventListener(name.slice(2), value);
    else out.setAttribute(name, value === true ? "" : value);
  }
  out.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return out;
}

// A section with a heading. It is named by the heading, so that screen readers list it.
export function panel(title, ...children) {
  const id = `h-${title.toLowerCase().replace(/\W+/g, "-")}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

// What the server has refused, in its own words.
export function refused(error) {
  const code = error.status ? `${error.status} ${error.reason}` : error.reason || error.name;
  return h("div", { class: "refusal", role: "alert" },
    h("strong", {}, code), h("p", {}, error.message),
    error.causes && error.causes.length > 0 && h("ul", {}, error.causes.map((cause) =>
      h("li", {}, [cause.field, cause.message || cause.reason].filter(Boolean).join(": ")))),
    error.status === 403 && error.message.includes('path "/metrics"') &&
      h("p", {}, "The ClusterRole system:monitoring grants it."),
    error.auditID && h("p", { class: "soft" }, "Explained by ", h("code", {}, `pilothouse why ${error.auditID}`)));
}

// Shows what a request has refused in a place of its own, and empties the place once it is answered.
export function refusals(place) {
  let shown = "";
  return (error) => {
    const text = error ? `${error.status} ${error.message}` : "";
    if (text === shown) return;
    shown = text;
    place.replaceChildren(...(error ? [refused(error)] : []));
  };
}

export function field(label, input) {
  return h("label", { class: "field" }, h("span", {}, label), input);
}

const MOST_ROWS = 500;

// A table whose rows keep their elements, so that the focus stays where it is while numbers change.
//
// columns: title; of(row) what is sorted by; show(row) the text. open(row): the text is a button. href(row): it is a link.
// paint(cell, row): draws the cell instead of a text. tone(row): a class of the cell. numeric: it is aligned to the right. wide: it is given room.
// quiet: its changes do not count as changes of the row.
// flash: whether rows that come or change are lit up.
// sort: the title of the column that rows are sorted by, with "-" before it for the largest first. onsort(sort): it was changed.
export class Table {
  constructor({ label, columns, key, empty = "Nothing to show.", sort = "", onsort = () => {} }) {
    this.columns = columns;
    this.key = key;
    this.flash = false;
    this.rows = [];
    this.most = MOST_ROWS;
    this.made = new Map();
    this.descending = sort.startsWith("-");
    this.sorted = columns.find((column) => column.title === sort.replace(/^-/, "")) || null;
    this.heads = columns.map((column) => this.head(column));
    this.body = h("tbody");
    this.note = h("p", { class: "soft note" });
    this.empty = empty;
    this.onsort = onsort;
    this.root = h("div", { class: "sheet" },
      h("div", { class: "scroll", role: "group", tabindex: "0", "aria-label": label },
        h("table", {}, h("caption", { class: "unseen" }, label), h("thead", {}, h("tr", {}, this.heads)), this.body)),
      this.note);
    this.mark();
    this.update([]);
  }

  head(column) {
    const attributes = { scope: "col", class: shape(column), title: column.hint };
    if (!column.of) return h("th", attributes, column.title);
    return h("th", attributes, h("button", { type: "button", onclick: () => this.sortBy(column) }, column.title));
  }

  sortBy(column) {
    this.descending = this.sorted === column ? !this.descending : Boolean(column.numeric);
    this.sorted = column;
    this.mark();
    this.update(this.rows);
    this.onsort(`${this.descending ? "-" : ""}${column.title}`);
  }

  // Compares two rows by the chosen column; null when none is.
  comparing() {
    if (!this.sorted) return null;
    const { of } = this.sorted, sign = this.descending ? -1 : 1;
    return (a, b) => sign * compare(of(a), of(b));
  }

  mark() {
    this.columns.forEach((column, at) => {
      if (!column.of) return;
      const order = this.descending ? "descending" : "ascending";
      this.heads[at].setAttribute("aria-sort", column === this.sorted ? order : "none");
    });
  }

  update(rows) {
    this.rows = rows;
    const shown = (this.sorted ? [...rows].sort(this.comparing()) : rows).slice(0, this.most);
    const focused = document.activeElement;
    const kept = new Set(), lit = [];
    shown.forEach((row, at) => {
      const key = this.key(row);
      kept.add(key);
      const made = this.made.get(key) || this.make(key, row);
      made.row = row;
      if (this.body.children[at] !== made.element) this.body.insertBefore(made.element, this.body.children[at] || null);
      if (this.fill(made) && this.flash) lit.push(made.element.classList);
    });
    // An animation begins anew after a layout, which takes long.
    lit.forEach((classes) => classes.remove("changed"));
    if (lit.length) void this.body.offsetWidth;
    lit.forEach((classes) => classes.add("changed"));
    for (const [key, made] of this.made) {
      if (kept.has(key)) continue;
      made.element.remove();
      this.made.delete(key);
    }
    if (focused !== document.activeElement && this.body.contains(focused)) focused.focus({ preventScroll: true });
    const more = rows.length - shown.length;
    this.note.textContent = rows.length ? (more ? `${more} more rows are not shown.` : "") : this.empty;
  }

  make(key, row) {
    const made = { row, texts: [], element: h("tr") };
    made.holders = this.columns.map((column, at) => {
      const cell = h(at ? "td" : "th", { class: shape(column), scope: at ? null : "row" });
      made.element.append(cell);
      if (!column.open && !column.href) return cell;
      const inner = column.open
        ? h("button", { type: "button", class: "link", onclick: () => column.open(made.row) })
        : h("a", { href: column.href(row) });
      cell.append(inner);
      return inner;
    });
    this.made.set(key, made);
    return made;
  }

  // Whether a text has changed.
  fill(made) {
    let changed = false;
    this.columns.forEach((column, at) => {
      const holder = made.holders[at];
      if (column.paint) return column.paint(holder, made.row);
      const text = String(column.show(made.row));
      if (made.texts[at] !== text) {
        holder.textContent = made.texts[at] = text;
        changed ||= !column.quiet;
      }
      if (column.tone) holder.dataset.tone = column.tone(made.row) || "";
    });
    return changed;
  }
}

function shape(column) {
  return column.numeric ? "number" : column.wide ? "wide" : null;
}

// String.localeCompare would make one for each pair.
const WORDS = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return (Number.isNaN(a) ? -1 : a) - (Number.isNaN(b) ? -1 : b);
  return WORDS.compare(String(a), String(b));
}

// A dialog over the page; Escape closes it, and the focus goes back to where it was.
export function dialog(title, ...children) {
  const out = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => out.remove() },
    h("form", { method: "dialog", class: "head" }, h("h2", { id: "dialog-title" }, title), h("button", {}, "Close")),
    h("div", { class: "body" }, ...children));
  out.addEventListener("pointerdown", (event) => event.target === out && out.close());
  document.body.append(out);
  out.showModal();
  return out;
}
