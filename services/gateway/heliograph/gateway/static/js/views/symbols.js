/** Every symbol that ever gave a signal, and what became of its signals. */

import { api } from "../api.js";
import { el } from "../dom.js";
import { gain } from "../figures.js";
import { count, date, known, percent, price } from "../format.js";
import { Page, said } from "../page.js";
import { sortable } from "../table.js";

const PAGE = 500;

const columns = [
  { name: "Symbol", cell: (row) => el("a", { class: "strong", href: `#/symbol/${encodeURIComponent(row.symbol)}`, dataset: { key: row.symbol } }, row.symbol), sort: (row) => row.symbol },
  { name: "Signals", kind: "number", cell: (row) => count(row.signals), sort: (row) => row.signals },
  { name: "Open", kind: "number", cell: (row) => count(row.open), sort: (row) => row.open },
  { name: "Won", kind: "number", cell: (row) => count(row.wins), sort: (row) => row.wins },
  { name: "Lost", kind: "number", cell: (row) => count(row.losses), sort: (row) => row.losses },
  { name: "Expired", kind: "number", cell: (row) => count(row.expired), sort: (row) => row.expired },
  { name: "Win rate", kind: "number", cell: (row) => known(row.win_rate, (rate) => percent(rate, 1)), sort: (row) => row.win_rate },
  { name: "Mean R", kind: "number", cell: (row) => gain(row.r_multiple, 2), sort: (row) => row.r_multiple },
  { name: "Sum after costs", kind: "number", cell: (row) => gain(row.total_pnl_net, 2, " %"), sort: (row) => row.total_pnl_net },
  { name: "Last close", kind: "number", cell: (row) => known(row.last_close, price), sort: (row) => row.last_close },
  { name: "Last signal", kind: "number", cell: (row) => date(row.last_ts), sort: (row) => row.last_ts },
];

export default class SymbolsView extends Page {
  #order = { by: "Symbol", descending: false };
  #pages = 1;
  #found = { symbols: [], more: false };

  constructor() {
    super("Symbols");
    this.filter = el("input", {
      class: "filter", type: "search", placeholder: "Part of a symbol", "aria-label": "Show symbols that contain",
      autocomplete: "off", spellcheck: "false", maxlength: "64", oninput: () => this.#show(),
    });
    this.actions.append(this.filter);
    this.follow(
      (signal) => this.#read(signal),
      (found) => {
        this.#found = found;
        this.#show();
      },
    );
  }

  async #read(signal) {
    const symbols = [];
    for (let page = 0; page < this.#pages; page += 1) {
      const next = (await api.symbols({ limit: PAGE, after: symbols.at(-1)?.symbol }, signal)).symbols;
      symbols.push(...next);
      if (next.length < PAGE) return { symbols, more: false };
    }
    return { symbols, more: true };
  }

  #show() {
    const { symbols, more } = this.#found;
    const part = this.filter.value.trim().toUpperCase();
    const rows = symbols.filter(({ symbol }) => symbol.toUpperCase().includes(part));
    this.note.textContent = `${count(symbols.length)}${more ? " of more" : ""} with signals`;
    if (!symbols.length) this.body.replaceChildren(said("No symbol has given a signal yet", "Each one shows here with its first."));
    else if (!rows.length) this.body.replaceChildren(said(`No symbol contains ${part}`, more ? "More are to be read: see the button when the field is empty." : ""));
    else this.body.replaceChildren(sortable("symbols", "Symbols and what became of their signals", columns, rows, this.#order), this.#rest(more && !part));
  }

  #rest(more) {
    const grow = () => {
      this.#pages += 1;
      this.refresh();
    };
    return el("div", { class: "more", hidden: !more }, el("button", { class: "button", type: "button", onclick: grow }, "Read more symbols"));
  }
}
