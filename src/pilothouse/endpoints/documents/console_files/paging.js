// The pages of a long list, which the server gives by continue tokens: as many as it takes to find what is looked for, or to sort.

import { getTable, Refusal } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";

export const PAGE = 500;
const SEARCHED = 1000;
const EXPIRED = 410;

export class Pages {
  constructor(live) {
    this.live = live;
    this.next = "";
    this.partial = false;  // whether there is more than the rows that are kept
    this.walking = null;
    this.text = h("span", { role: "status" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.further() }, "Show more");
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.cancel() }, "Stop");
    this.root = h("p", { class: "soft paging" }, this.text, this.more, this.stop);
  }

  // Objects in a page.
  size() {
    return this.live.filter() || this.live.sorting() ? SEARCHED : PAGE;
  }

  begin(table) {
    this.looked = 0;
    this.partial = false;
    this.take(table);
    this.go(0);
  }

  cancel() {
    if (this.walking) this.walking.abort();
    this.walking = null;
    this.draw();
  }

  take(table) {
    const rows = table.rows || [];
    this.next = table.metadata.continue || "";
    this.looked += rows.length;
    // With selectors the server does not say how many are left.
    this.all = this.next ? this.looked + (table.metadata.remainingItemCount || NaN) : this.looked;
    if (!this.live.add(rows) || this.next) this.partial = true;
  }

  further() {
    const { live } = this;
    if (!live.sorting() || this.next) return this.go(PAGE);
    live.wanted += PAGE;
    if (live.bound) live.restart();
    else live.draw();
  }

  // Goes on until so many more rows are there, or all objects have been looked at.
  async go(more) {
    this.live.wanted += more;
    if (this.walking) return;
    const walking = this.walking = new AbortController();
    const { live } = this, { signal } = walking;
    try {
      if (this.next && live.filter() && live.exact) await this.exact(signal);
      while (this.next && (live.sorting() || live.rows.size < live.wanted)) {
        if (live.sorting() && this.looked > SEARCHED) this.draw();
        else live.draw();
        const table = await getTable(live.path({ limit: this.size(), continue: this.next }), { signal });
        if (signal.aborted) return;
        this.take(table);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refusal)) throw error;
      if (error.status === EXPIRED) live.restart();
      else live.refuse(error);
    }
    if (this.walking === walking) this.walking = null;
    live.draw();
    if (live.filter()) live.announce(this.text.textContent);
  }

  // The object that is called exactly so is found at once.
  async exact(signal) {
    const { live } = this;
    const fields = [live.selectors.fieldSelector, live.exact(live.filter())].filter(Boolean).join();
    try {
      live.add((await getTable(live.path({ fieldSelector: fields }), { signal })).rows || []);
      live.draw();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;  // not every text can be a name
    }
  }

  draw() {
    const { live, looked, all, next } = this;
    const of = Number.isFinite(all) ? ` of ${number(all)}` : "";
    const rest = live.sorting() && live.rows.size > live.wanted;
    this.text.textContent = live.filter()
      ? (this.walking || next ? `Searched ${number(looked)}${of}: ${number(live.rows.size)} ${live.bound ? "or more " : ""}found${this.walking ? " …" : "."}` : "")
      : live.sorting()
        ? (next ? `Sorted ${number(looked)}${of}${this.walking ? " …" : "."}` : rest ? `The first ${number(live.wanted)}${of} are shown.` : "")
        : next ? `${number(looked)}${of} are listed. Changes to the others show, too.` : "";
    this.more.textContent = !next ? "Show more" : live.filter() ? "Search on" : live.sorting() ? "Sort on" : "Show more";
    this.more.hidden = !(next || rest) || Boolean(this.walking);
    this.stop.hidden = !this.walking || !next;
  }
}
