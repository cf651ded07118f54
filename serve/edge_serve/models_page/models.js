// The first page of a server of several models: each is a link to its own page.

import { $, ask, sendTokenWith, whenUnlocked } from "./talk.js";

const SHOWN_LABELS = 8;

function part(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

function link({ name, labels, backbone, precision, signed_by: signer }) {
  const place = part("a", "", "panel");
  place.href = `models/${encodeURIComponent(name)}/`;
  const chips = part("ul", "", "chips");
  const more = labels.length - SHOWN_LABELS;
  chips.append(...labels.slice(0, SHOWN_LABELS).map((label) => part("li", label)));
  if (more > 0) chips.append(part("li", `and ${more} more`));
  place.append(part("h3", name), chips, part("p", `${backbone}, ${precision}${signer ? ", signed" : ""}`, "quiet"));
  return place;
}

async function showModels() {
  try {
    const { models } = await ask("models");
    $("models").replaceChildren(...models.map(link));
    return true;
  } catch (error) {
    if (error.status !== 401) $("subtitle").textContent = error.message;
    return false;
  }
}

sendTokenWith(document.querySelector("footer a"));
whenUnlocked(showModels, () => $("models").querySelector("a").focus());
showModels();
