// Pictures as the server makes them smaller, the last ones kept.

import { fetchFrom } from "/static/talk.js";
import { now } from "/static/label_state.js";

export const LARGE_PX = 1280;
export const TILE_PX = 320;
const HELD_PICTURES = 160;

const held = new Map();

export function picture(row, side) {
  const key = `${row}/${side}`;
  let found = held.get(key);
  held.delete(key);
  found ??= fetchFrom(`/picture/${row}?side=${side}`).then(async (response) => URL.createObjectURL(await response.blob()));
  held.set(key, found);
  found.catch(() => held.delete(key));
  for (const [old, url] of held) {
    if (held.size <= HELD_PICTURES) break;
    held.delete(old);
    url.then(URL.revokeObjectURL, () => {});
  }
  return found;
}

export async function showPicture(image, fault, row, side) {
  image.dataset.row = row;
  image.classList.add("waiting");
  let url = null;
  let problem = now.list.rows[row].problem ?? "";
  try {
    if (!problem) url = await picture(row, side);
  } catch (error) {
    problem = error.message;
  }
  // Another may have been asked for meanwhile.
  if (image.dataset.row !== String(row)) return;
  image.classList.remove("waiting");
  image.hidden = url === null;
  fault.hidden = url !== null;
  fault.textContent = problem;
  if (url) image.src = url;
  else image.removeAttribute("src");
}
