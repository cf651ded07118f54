// What the page knows: the list, and where in it one is.

import { $ } from "/static/talk.js";

export const now = {
  list: null, // What the server said of the list, its rows kept as they are now.
  queue: [], // Rows in the order and by the filter chosen.
  view: "one",
  current: null, // The row that is shown, or has the focus in the grid.
  batch: [], // The rows of the grid, and below the pages before, for the way back.
  batches: [],
  selected: new Set(),
  anchor: null, // Where a range that is selected begins.
};

export const state = (row) => now.list.rows[row];

export const onlyOpen = () => $("filter").value.startsWith("todo");

const isOpen = (row) => !onlyOpen() || !state(row).done;

// The rows by the filter and in the order that are chosen.
export function arrange() {
  const [kind, name] = JSON.parse($("filter").value.replace(/^todo/, "") || "[\"\"]");
  const matches = { "": () => true, answer: (row) => row.answer === name, label: (row) => row.label === name };
  now.queue = now.list.orders[$("order").value].filter((row) => matches[kind](state(row)) && isOpen(row));
}

// The open rows behind `row`, at most `count`; then those before it, which were skipped.
export function openAfter(row, count) {
  const at = now.queue.indexOf(row) + 1;
  const rest = [...now.queue.slice(at), ...(onlyOpen() ? now.queue.slice(0, at) : [])];
  const found = [];
  for (const each of rest) {
    if (found.length === count) break;
    if (isOpen(each) && each !== row) found.push(each);
  }
  return found;
}

// The rows that a class's key labels.
export function targets() {
  if (now.view === "one") return now.current === null ? [] : [now.current];
  return now.selected.size ? now.batch.filter((row) => now.selected.has(row)) : now.current === null ? [] : [now.current];
}

// The rows that are taken as the model says, or as they are labelled: in the grid all that are left.
export function rest() {
  return now.view === "one" || now.selected.size ? targets() : now.batch.filter((row) => !state(row).done);
}

export function choose(rows = []) {
  now.selected = new Set(rows);
  now.anchor = null;
}
