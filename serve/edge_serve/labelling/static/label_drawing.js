// What is seen: one picture or the grid, the classes, and how far one is.

import { $ } from "/static/talk.js";
import { LARGE_PX, TILE_PX, picture, showPicture } from "/static/label_pictures.js";
import { now, openAfter, rest, state } from "/static/label_state.js";

// Letters that mean something else are no class's.
export const CLASS_KEYS = [..."123456789bcdefhijlmopqrtuvwxy"];
const AHEAD = 3;
const TILE_GAP_PX = 8;
const NOTE_PX = 28;

const percent = (value) => `${(100 * value).toFixed(value > 0.995 || value < 0.005 ? 1 : 0)} %`;
const number = new Intl.NumberFormat("en");

// As many as there is room for: what is taken all at once has been seen.
export function tilesThatFit() {
  $("one").hidden = $("finished").hidden = true;
  $("many").hidden = false;
  const across = columns();
  const grid = $("tiles").getBoundingClientRect();
  const side = (grid.width - TILE_GAP_PX * (across - 1)) / across + TILE_GAP_PX;
  // On a small screen the classes have the rest of it.
  const small = getComputedStyle(document.body).display === "flex";
  const end = small ? document.querySelector("main").getBoundingClientRect().bottom : innerHeight - scrollY;
  return across * Math.max(2, Math.floor((end - NOTE_PX - grid.top) / side));
}

export const columns = () => getComputedStyle($("tiles")).gridTemplateColumns.split(" ").length;

export const focusTile = () => document.querySelector(`.tile[data-row="${now.current}"]`)?.focus();

function lookAhead() {
  const side = now.view === "one" ? LARGE_PX : TILE_PX;
  const next = now.view === "one" ? openAfter(now.current, AHEAD) : openAfter(now.batch.at(-1), now.batch.length);
  for (const row of next) if (!now.list.rows[row].problem) picture(row, side).catch(() => {});
}

function thought({ label, answer, probability, of_label, label_probability }) {
  const parts = [];
  if (label) parts.push(`labelled ${label}${of_label !== label ? "" : ` (${percent(label_probability)})`}`);
  if (answer) parts.push(`the model says ${answer}${typeof probability === "number" ? ` (${percent(probability)})` : ""}`);
  return parts.join(" · ");
}

export function show() {
  const finished = now.view === "one" ? now.current === null : !now.batch.length;
  $("one").hidden = now.view !== "one" || finished;
  $("many").hidden = now.view !== "grid" || finished;
  $("all").hidden = now.view !== "grid" || finished;
  $("skip").hidden = finished;
  $("finished").hidden = !finished;
  drawSide();
  if (finished) {
    const left = now.list.rows.filter((row) => !row.done).length;
    $("finished-note").textContent = left
      ? "Nothing here is of the kind you asked for." : "All pictures are done. End it with Ctrl-C in its terminal, then:";
    $("next-command").textContent = left ? "" : now.list.next_step;
    return;
  }
  if (now.view === "one") {
    const row = state(now.current);
    $("picture").alt = `The picture ${row.name}`;
    $("name").textContent = row.name;
    $("said").textContent = thought(row);
    showPicture($("picture"), $("picture-fault"), now.current, LARGE_PX);
  } else {
    drawTiles();
    if (document.activeElement === document.body) focusTile();
  }
  lookAhead();
}

export function drawTiles() {
  const shown = [...$("tiles").children].map((tile) => Number(tile.dataset.row));
  if (shown.length !== now.batch.length || shown.some((row, index) => row !== now.batch[index])) {
    const within = $("tiles").contains(document.activeElement);
    $("tiles").replaceChildren(...now.batch.map((row) => {
      const tile = $("tile-template").content.firstElementChild.cloneNode(true);
      tile.dataset.row = row;
      showPicture(tile.querySelector("img"), tile.querySelector(".unreadable"), row, TILE_PX);
      return tile;
    }));
    if (within) requestAnimationFrame(focusTile);
  }
  for (const tile of $("tiles").children) {
    const row = Number(tile.dataset.row);
    const { name, label, done, answer, probability } = state(row);
    tile.classList.toggle("done", done);
    tile.setAttribute("aria-selected", now.selected.has(row));
    tile.setAttribute("aria-label", [name, thought(state(row))].filter(Boolean).join(", "));
    tile.tabIndex = row === now.current ? 0 : -1;
    const guess = answer ? `${answer}?${typeof probability === "number" ? ` ${percent(probability)}` : ""}` : "";
    const doubt = now.list.review && label && answer ? `${label} → ${guess}` : guess;
    tile.querySelector(".badge").textContent = done ? label || "no label" : doubt || label || "";
  }
  $("grid-note").textContent = now.selected.size
    ? `${now.selected.size} selected: a class's key labels ${now.selected.size === 1 ? "it" : "them"}`
    : matchMedia("(pointer: coarse)").matches ? "A tap selects: then choose the class." : "Click or Space selects, drag or Shift selects several.";
  drawActs();
}

export function drawSide() {
  const done = now.list.rows.filter((row) => row.done).length;
  $("progress").max = now.list.rows.length;
  $("progress").value = done;
  const left = now.list.rows.length - done;
  $("count").textContent = `${number.format(done)} ${now.list.review ? "checked" : "labelled"}, ${number.format(left)} left`;
  const counts = new Map();
  for (const { label } of now.list.rows) counts.set(label, (counts.get(label) ?? 0) + 1);
  const shown = now.current === null ? {} : state(now.current);
  const buttons = $("classes").children;
  if (buttons.length !== now.list.classes.length) {
    $("classes").replaceChildren(...now.list.classes.map((name, index) => {
      const item = $("class-template").content.firstElementChild.cloneNode(true);
      const key = CLASS_KEYS[index];
      item.firstElementChild.value = name;
      item.querySelector(".text").textContent = name;
      item.querySelector("kbd").textContent = key ?? "";
      item.querySelector("kbd").hidden = key === undefined;
      if (key) item.firstElementChild.setAttribute("aria-keyshortcuts", key);
      return item;
    }));
    $("classes").classList.toggle("many", now.list.classes.length > 12);
    $("names").replaceChildren(...now.list.classes.map((name) => Object.assign(document.createElement("option"), { value: name })));
  }
  now.list.classes.forEach((name, index) => {
    const button = buttons[index].firstElementChild;
    button.setAttribute("aria-pressed", now.view === "one" && shown.label === name);
    button.classList.toggle("suggested", now.view === "one" && shown.answer === name && shown.label !== name);
    button.querySelector(".number").textContent = number.format(counts.get(name) ?? 0);
  });
  $("undo").disabled = !now.list.can_undo;
  drawActs();
}

function drawActs() {
  const rows = rest();
  const answered = rows.filter((row) => state(row).answer).length;
  const labelled = rows.filter((row) => state(row).label).length;
  const these = now.view === "one" ? "" : now.selected.size ? " the selected" : " all shown";
  $("accept").hidden = !now.list.rows.some((row) => row.answer);
  $("accept").disabled = !answered;
  $("accept-text").textContent = now.view === "one" && answered ? `${state(rows[0]).answer}, as the model says` : `As the model says${these && `:${these}`}`;
  $("keep").hidden = !now.list.review;
  $("keep").disabled = !labelled;
  $("keep-text").textContent = now.view === "one" && labelled ? `${state(rows[0]).label} is right` : `The labels are right:${these}`;
}
