// A table of objects that follows them: a list, then a watch from its resourceVersion on, and again when that has expired.
// The rest of a long list comes page by page (paging.js), beside the watch. Of a sorted list all pages
// are read, and the first rows are kept.

import { getTable, pathOf, Refusal } from "./api.js";
import { since } from "./format.js";
import { Table } from "./dom.js";
import { PAGE, Pages } from "./paging.js";
import { watch } from "./streams.js";

const PATIENCE = 3000;
const TELL = 5000;
const TYPING = 300;
const BOOKMARK = "BOOKMARK";

const wait = (milliseconds, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, milliseconds);
  signal.addEventListener("abort", () => (clearTimeout(timer), resolve()));
});

const uid = (row) => row.object.metadata.uid || row.object.metadata.name;

// columns: what is different of a column, by its title.
// kind: as api.kinds() has it. place: where the table goes. say(state, text) tells how it goes, refuse(error or null) what
// was refused, announce(text) what has changed. open(metadata) opens an object. sort: as of Table;
// sorted(sort): it was changed. order(a, b): compares rows while no column is chosen.
// filter(): a text that is looked for, "" for all rows; test(row, text): whether it is in a row. wanted: rows that are listed
// before more are asked for. exact(text): the field selector of the object that is called so.
export class Live {
  constructor(settings) {
    Object.assign(this, { filter: () => "", test: () => true, columns: {}, wanted: PAGE, sort: "", sorted: () => {}, order: null }, settings);
    this.rows = new Map();
    this.touched = new Set();
    this.bound = null;  // the last row that is kept
    this.changes = { added: 0, changed: 0, deleted: 0 };
    this.stopped = false;
    this.pages = new Pages(this);
    this.ages = setInterval(() => this.draw(), 10000);
    this.teller = setInterval(() => this.tell(), TELL);
    this.run();
  }

  stop() {
    this.stopped = true;
    this.restart();
    clearInterval(this.ages);
    clearInterval(this.teller);
    clearTimeout(this.drawing);
    clearTimeout(this.searching);
  }

  // Lists anew.
  restart() {
    this.pages.cancel();
    this.abort.abort();
  }

  // The text that is looked for has changed: what is known is filtered at once, the rest is asked for.
  search() {
    clearTimeout(this.searching);
    this.draw();
    if (this.pages.partial) this.searching = setTimeout(() => this.restart(), TYPING);
  }

  sorting() {
    return Boolean(this.sort || this.order);
  }

  comparing() {
    return this.table.comparing() || this.order;
  }

  sortBy(sort) {
    this.sort = sort;
    this.sorted(sort);
    if (this.pages.partial) this.restart();
    else this.draw();
  }

  // Keeps the first rows, and some in reserve.
  keep() {
    const compare = this.comparing();
    if (!compare || this.rows.size <= this.wanted + PAGE) return;
    const rows = [...this.rows].sort(([, a], [, b]) => compare(a, b)).slice(0, this.wanted + PAGE);
    this.rows = new Map(rows);
    this.bound = rows.at(-1)[1];
    this.pages.partial = true;
  }

  holds(row, text) {
    return this.test(row, text) && !(this.bound && this.comparing()(row, this.bound) > 0);
  }

  async run() {
    while (!this.stopped) {
      this.abort = new AbortController();
      const { signal } = this.abort;
      try {
        let version = await this.list();
        this.refuse(null);
        while (version && !signal.aborted) {
          const began = Date.now();
          version = await this.follow(version);
          if (Date.now() - began < PATIENCE) await wait(PATIENCE, signal);
        }
      } catch (error) {
        if (signal.aborted) continue;
        if (!(error instanceof Refusal)) {
          this.say("off", "The watch was cut short; it is opened again");
        } else {
          this.refuse(error);
          this.say("off", "Refused");
          if (error.status === 401 || error.status === 403 || error.status === 404) return;
        }
        await wait(PATIENCE, signal);
      }
    }
  }

  path(parameters) {
    const query = new URLSearchParams({ ...this.selectors, ...parameters });
    return `${pathOf(this.kind, this.namespace)}?${query}`;
  }

  // Lists the first objects; the resourceVersion from which a watch goes on, "" when there is none.
  async list() {
    this.say("busy", "Listing …");
    this.pages.cancel();
    const table = await getTable(this.path({ limit: this.pages.size() }), { signal: this.abort.signal });
    this.rows.clear();
    this.touched.clear();
    this.bound = null;
    this.define(table.columnDefinitions);
    this.pages.begin(table);
    if (!this.kind.watchable) {
      this.say("off", "This kind cannot be watched");
      await wait(30000, this.abort.signal);
      return "";
    }
    return table.metadata.resourceVersion;
  }

  // Takes over rows of a list, unless the watch knows better; false when some are not what is looked for.
  add(rows) {
    const text = this.filter();
    let whole = true;
    for (const row of rows) {
      const key = uid(row);
      if (this.touched.has(key)) continue;
      if (this.holds(row, text)) this.rows.set(key, row);
      else whole = false;
    }
    this.keep();
    return whole;
  }

  // Follows changes; the resourceVersion to go on from, "" when it has expired.
  async follow(version) {
    this.say("on", "Live");
    let latest = version;
    const parameters = { watch: "1", resourceVersion: version, allowWatchBookmarks: "true" };
    await watch(this.path(parameters), ({ type, object }) => {
      if (type === "ERROR") {
        latest = "";
        if (object.code !== 410) throw new Refusal(object.code, object.reason, object.message, "");
        return;
      }
      for (const row of object.rows || []) {
        latest = row.object.metadata.resourceVersion || latest;
        if (type !== BOOKMARK) this.change(type, row);
      }
    }, { signal: this.abort.signal });
    return latest;
  }

  change(type, row) {
    const key = uid(row);
    if (this.pages.next) this.touched.add(key);  // for the pages that are to come
    if (type === "DELETED") {
      if (this.rows.delete(key)) this.changes.deleted += 1;
    } else if (this.holds(row, this.filter())) {
      this.changes[this.rows.has(key) ? "changed" : "added"] += 1;
      this.rows.set(key, row);
    } else {
      this.rows.delete(key);
      this.pages.partial = true;
    }
    this.keep();
    if (this.bound && !this.pages.next && this.rows.size < this.wanted) this.restart();
    this.drawing ||= setTimeout(() => this.draw(), 100);
  }

  define(definitions) {
    const shown = definitions.map((definition, at) => ({ ...definition, at })).filter((one) => one.priority === 0);
    const cell = ({ name, at }) => (name === "Age"
      ? (row) => since(row.object.metadata.creationTimestamp)
      : (row) => (row.cells[at] === null || row.cells[at] === undefined ? "" : row.cells[at]));
    const columns = shown.map((one) => ({
      title: one.name,
      hint: one.description,
      show: cell(one),
      of: one.name === "Age" ? (row) => -Date.parse(row.object.metadata.creationTimestamp) : cell(one),
      numeric: one.type === "integer" || one.type === "number",
      quiet: one.name === "Age",
      open: one.format === "name" && this.open ? (row) => this.open(row.object.metadata) : null,
      ...this.columns[one.name],
    }));
    if (this.kind.namespaced && !this.namespace) {
      const namespace = (row) => row.object.metadata.namespace;
      columns.splice(1, 0, { title: "Namespace", show: namespace, of: namespace });
    }
    const titles = columns.map((column) => column.title).join();
    if (titles === this.titles) return;
    this.titles = titles;
    const onsort = (sort) => this.sortBy(sort);
    this.table = new Table({ label: this.label, columns, key: uid, empty: this.empty, sort: this.sort, onsort });
    if (!this.table.sorted) this.sort = "";
    this.place.replaceChildren(this.table.root, this.pages.root);
  }

  draw() {
    clearTimeout(this.drawing);
    this.drawing = 0;
    if (!this.table || this.paused()) return;
    const text = this.filter();
    const rows = [...this.rows.values()].filter((row) => this.test(row, text));
    this.table.most = Math.max(this.table.most, this.wanted);
    const compare = this.comparing();
    if (compare) rows.sort(compare);
    this.table.update(this.sorting() ? rows.slice(0, this.wanted) : rows);
    this.table.flash = true;
    this.pages.draw();
  }

  tell() {
    const told = Object.entries(this.changes).filter(([, count]) => count).map(([what, count]) => `${count} ${what}`);
    if (told.length && !this.paused()) this.announce(`${this.label}: ${told.join(", ")}`);
    this.changes = { added: 0, changed: 0, deleted: 0 };
  }
}
