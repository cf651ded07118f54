// The page that labels: one key for each class, one picture or several at once.

import { $, ask, whenUnlocked } from "/static/talk.js";
import { CLASS_KEYS, columns, drawSide, drawTiles, focusTile, show, tilesThatFit } from "/static/label_drawing.js";
import { arrange, choose, now, onlyOpen, openAfter, rest, state, targets } from "/static/label_state.js";

const ORDER_NAMES = {
  uncertain: "least certain first", valuable: "most valuable first", mistakes: "surest mistakes first", random: "at random", file: "as in the file",
};

// --- To another picture -------------------------------------------------------------------------------------------

function begin() {
  arrange();
  now.current = now.queue[0] ?? null;
  now.batch = now.view === "grid" ? openAfter(null, tilesThatFit()) : [];
  now.batches = [];
  choose();
  show();
}

function goOn() {
  if (now.view === "one") {
    const [next] = openAfter(now.current, 1);
    if (next !== undefined) now.current = next;
    else if (onlyOpen() && state(now.current).done) now.current = null;
  } else {
    // Those of this page that were skipped come again after all others.
    const next = openAfter(now.batch.at(-1), tilesThatFit());
    const others = next.filter((row) => !now.batch.includes(row));
    now.batches.push(now.batch);
    now.batch = others.length ? others : next.length || onlyOpen() ? next : now.batch;
    choose();
    now.current = now.batch[0] ?? null;
  }
  show();
}

function goForth() {
  const at = now.queue.indexOf(now.current);
  if (at + 1 < now.queue.length) now.current = now.queue[at + 1];
  show();
}

function goBack() {
  if (now.view === "one") {
    const at = now.current === null ? now.queue.length : now.queue.indexOf(now.current);
    if (at > 0) now.current = now.queue[at - 1];
  } else if (now.batches.length) {
    now.batch = now.batches.pop();
    now.current = now.batch[0];
    choose();
  } else {
    const at = now.queue.indexOf(now.batch[0]);
    if (at > 0) now.batch = now.queue.slice(Math.max(0, at - tilesThatFit()), at);
    now.current = now.batch[0] ?? null;
  }
  show();
}

function showRow(row) {
  if (now.view === "grid" && !now.batch.includes(row)) {
    const before = now.batches.findLastIndex((each) => each.includes(row));
    now.batch = before < 0 ? [row, ...now.batch.slice(0, -1)] : now.batches[before];
    if (before >= 0) now.batches.length = before;
    choose();
  }
  now.current = row;
}

// --- Saying something of it ---------------------------------------------------------------------------------------

let sending = Promise.resolve();
let unanswered = 0;

function send(path, body) {
  unanswered += 1;
  sending = sending.then(async () => {
    try {
      return await ask(path, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
    } finally {
      unanswered -= 1;
    }
  }).then((answer) => {
    $("fault").hidden = true;
    take(answer);
    return answer;
  }, async (error) => {
    $("fault").textContent = `Not saved. ${error.message} ${error.hint ?? ""}`;
    $("fault").hidden = false;
    if (error.status) await load();
    return null;
  });
  return sending;
}

const answered = new Map();

function take({ rows = {}, classes, can_undo }) {
  for (const [row, said] of Object.entries(rows)) answered.set(row, said);
  // What was said since is on its way, and newer.
  if (unanswered) return;
  for (const [row, said] of answered) Object.assign(now.list.rows[row], said);
  answered.clear();
  Object.assign(now.list, { classes, can_undo });
  drawSide();
}

function say(labels) {
  const rows = [...labels.keys()];
  if (!rows.length) return;
  for (const [row, label] of labels) Object.assign(state(row), { label, done: label !== "" || now.list.review });
  now.list.can_undo += 1;
  send("/label", { labels: Object.fromEntries(labels) });
  const kinds = [...new Set(labels.values())].map((label) => label || "no label").join(", ");
  $("news").textContent = `${rows.length === 1 ? state(rows[0]).name : `${rows.length} pictures`}: ${kinds}`;
  choose();
  if (now.view === "grid" && !now.batch.every((row) => state(row).done)) {
    now.current = now.batch.find((row) => !state(row).done && now.batch.indexOf(row) > now.batch.indexOf(rows.at(-1)))
      ?? now.batch.find((row) => !state(row).done);
    show();
  } else if (labels.get(rows[0]) === "" && !now.list.review) {
    show();
  } else {
    goOn();
  }
}

const give = (label) => say(new Map(targets().map((row) => [row, label])));

function accept() {
  const there = rest().filter((row) => state(row).answer);
  say(new Map(there.map((row) => [row, state(row).answer])));
}

function keep() {
  say(new Map(rest().filter((row) => state(row).label).map((row) => [row, state(row).label])));
}

async function undo() {
  const answer = await send("/undo", {});
  if (!answer) return;
  const rows = Object.keys(answer.rows).map(Number);
  $("news").textContent = rows.length ? `Undone: ${rows.length === 1 ? state(rows[0]).name : `${rows.length} pictures`}` : "Nothing to undo";
  if (rows.length) showRow(rows[0]);
  show();
}

async function useName(name) {
  if (!name.trim()) return;
  const answer = await send("/classes", { name });
  if (answer) give(answer.name);
}

// --- The grid -----------------------------------------------------------------------------------------------------

function chooseTo(row) {
  const [from, to] = [now.batch.indexOf(now.anchor ?? now.current ?? row), now.batch.indexOf(row)].sort((a, b) => a - b);
  for (const each of now.batch.slice(from, to + 1)) now.selected.add(each);
}

function setChosen(row, chosen) {
  if (chosen) now.selected.add(row);
  else now.selected.delete(row);
  now.anchor = row;
  now.current = row;
}

let painting = null;
let byMouse = false;
const rowOf = (event) => {
  const tile = event.target.closest?.(".tile");
  return tile ? Number(tile.dataset.row) : null;
};

$("tiles").addEventListener("pointerdown", (event) => {
  const row = rowOf(event);
  byMouse = event.pointerType !== "touch";
  // A finger may be about to scroll: it selects when it is lifted.
  if (row === null || !byMouse || event.button !== 0) return;
  if (event.shiftKey) {
    chooseTo(row);
    now.current = row;
  } else {
    painting = !now.selected.has(row);
    setChosen(row, painting);
  }
  drawTiles();
});
$("tiles").addEventListener("pointerover", (event) => {
  const row = rowOf(event);
  if (painting === null || row === null) return;
  setChosen(row, painting);
  drawTiles();
});
addEventListener("pointerup", () => { painting = null; });
addEventListener("pointercancel", () => { painting = null; });
$("tiles").addEventListener("click", (event) => {
  const row = rowOf(event);
  if (row !== null && !byMouse) {
    setChosen(row, !now.selected.has(row));
    drawTiles();
  }
  byMouse = false;
});
$("tiles").addEventListener("dblclick", (event) => {
  const row = rowOf(event);
  if (row !== null) look("one", row);
});
$("tiles").addEventListener("focusin", (event) => {
  const row = rowOf(event);
  if (row !== null) now.current = row;
});

function moveFocus(step, extend) {
  const at = Math.max(0, now.batch.indexOf(now.current));
  const to = Math.min(now.batch.length - 1, Math.max(0, at + step));
  if (extend) {
    now.anchor ??= now.batch[at];
    chooseTo(now.batch[to]);
  } else {
    now.anchor = null;
  }
  now.current = now.batch[to];
  drawTiles();
  focusTile();
}

// --- What a person does -------------------------------------------------------------------------------------------

function look(at, row = now.current) {
  now.view = at;
  $("view-one").setAttribute("aria-pressed", now.view === "one");
  $("view-grid").setAttribute("aria-pressed", now.view === "grid");
  choose();
  if (now.view === "grid") {
    const count = tilesThatFit();
    now.batch = row === null ? openAfter(null, count) : [row, ...openAfter(row, count - 1)];
    now.batches = [];
  }
  now.current = row ?? now.batch[0] ?? null;
  show();
}

const ACTS = {
  Enter: accept, k: keep, z: undo, s: goOn, g: () => look(now.view === "one" ? "grid" : "one"),
  0: () => give(""), Delete: () => give(""), Backspace: () => give(""),
  n: () => { $("more").open = true; $("new-name").focus(); }, "?": () => { $("more").open = $("help").open = !$("help").open; },
  PageDown: goOn, PageUp: goBack,
};
const IN_ONE = { ArrowLeft: goBack, ArrowRight: goForth };
const IN_GRID = {
  ArrowLeft: (event) => moveFocus(-1, event.shiftKey), ArrowRight: (event) => moveFocus(1, event.shiftKey),
  ArrowUp: (event) => moveFocus(-columns(), event.shiftKey), ArrowDown: (event) => moveFocus(columns(), event.shiftKey),
  Home: (event) => moveFocus(-now.batch.length, event.shiftKey), End: (event) => moveFocus(now.batch.length, event.shiftKey),
  " ": () => { if (now.current !== null) setChosen(now.current, !now.selected.has(now.current)); drawTiles(); },
  a: () => { choose(now.batch); drawTiles(); }, Escape: () => { choose(); drawTiles(); },
};

document.addEventListener("keydown", (event) => {
  if (!now.list || event.isComposing) return;
  const { target } = event;
  if (target.matches("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  const chord = event.ctrlKey || event.metaKey;
  if (event.altKey || (chord && event.key !== "z")) return;
  // A button that has the focus is pressed by these itself.
  if (target.matches("button, summary, a") && (event.key === "Enter" || event.key === " ")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const label = now.list.classes[CLASS_KEYS.indexOf(key)];
  const act = (now.view === "grid" ? IN_GRID[key] : IN_ONE[key]) ?? ACTS[key] ?? (label === undefined ? null : () => give(label));
  if (!act) return;
  event.preventDefault();
  act(event);
});

for (const [id, act] of Object.entries({
  accept, keep, undo, skip: goOn, back: goBack, remove: () => give(""), all: () => { choose(now.batch); drawTiles(); },
  "view-one": () => look("one"), "view-grid": () => look("grid"),
})) $(id).addEventListener("click", act);
$("classes").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) give(button.value);
});
// With a mouse the focus goes back to the pictures, so that the next Enter is theirs.
document.addEventListener("click", (event) => {
  if (event.detail && event.target.closest("button")) document.activeElement.blur();
});
$("new-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("new-name").value;
  $("new-name").value = "";
  $("new-name").blur();
  useName(name);
});
for (const id of ["order", "filter"]) {
  $(id).addEventListener("change", () => {
    $(id).blur();
    begin();
  });
}

// --- The beginning ------------------------------------------------------------------------------------------------

function option(value, text, chosen = false) {
  return Object.assign(document.createElement("option"), { value, textContent: text, selected: chosen });
}

function drawFilters() {
  const answers = [...new Set(now.list.rows.map((row) => row.answer).filter(Boolean))].sort();
  const labels = [...new Set(now.list.rows.map((row) => row.label).filter(Boolean))].sort();
  const group = (title, options) => {
    const made = Object.assign(document.createElement("optgroup"), { label: title });
    made.append(...options);
    return options.length ? [made] : [];
  };
  $("filter").replaceChildren(
    option("todo", "to do", true), option("[\"\"]", "all"),
    ...group("to do, the model says", answers.map((name) => option(`todo${JSON.stringify(["answer", name])}`, name))),
    ...group("labelled", labels.map((name) => option(JSON.stringify(["label", name]), name))),
  );
}

async function load() {
  let found;
  try {
    found = await ask("/list");
  } catch (error) {
    if (error.status !== 401) $("subtitle").textContent = error.message;
    return false;
  }
  const again = now.list !== null;
  now.list = found;
  if (again) {
    show();
    return true;
  }
  document.title = `${now.list.title} · edge label`;
  $("title").textContent = now.list.title;
  $("subtitle").textContent = `${now.list.review ? "Is the label right?" : "Which class is it?"} Labels go to ${now.list.out}.`;
  $("order").replaceChildren(...Object.keys(now.list.orders).map((name) => option(name, ORDER_NAMES[name], name === now.list.order)));
  $("order").parentElement.hidden = Object.keys(now.list.orders).length < 2;
  drawFilters();
  $("more").open = !matchMedia("(max-width: 60rem)").matches;
  for (const id of ["tools", "side"]) $(id).hidden = false;
  begin();
  return true;
}

whenUnlocked(load, () => document.activeElement.blur());
load();
