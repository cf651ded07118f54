// The page: pictures in, bars out. Nothing here is fetched from elsewhere, and no text becomes markup.

import { $, ask, sendTokenWith, whenUnlocked } from "./talk.js";

const TOP = 5;
const KEPT_ANSWERS = 30;
const SHRUNK_SIDE_PX = 2048;
const LIVE_EVERY_MS = 150;

const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const milliseconds = (value) => (value < 10 ? value.toFixed(1) : Math.round(value).toString()) + " ms";

let limits = { body_bytes: 10e6, files: 16 };
let background = [255, 255, 255];

// --- Talking to the server ----------------------------------------------------------------------------------------

async function classify(picture, showInput = true) {
  const begun = performance.now();
  const body = picture.size > limits.body_bytes ? await shrink(picture) : picture;
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await ask(`predict?top=${TOP}&input=${showInput}`, {
        method: "POST",
        headers: { "Content-Type": body.type.startsWith("image/") ? body.type : "application/octet-stream" },
        body,
      });
      return { ...answer.predictions[0], timing: answer.timing_ms, total: performance.now() - begun, shrunk: body !== picture };
    } catch (error) {
      if (error.status !== 429 || tries === 4) throw error;
      await new Promise((done) => setTimeout(done, error.retryAfter * 1000));
    }
  }
}

async function shrink(picture) {
  try {
    const bitmap = await createImageBitmap(picture);
    const scale = Math.min(1, SHRUNK_SIDE_PX / Math.min(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    const drawing = canvas.getContext("2d");
    // A JPEG has no transparency: what shows through is what the server would put there.
    drawing.fillStyle = `rgb(${background.join(" ")})`;
    drawing.fillRect(0, 0, canvas.width, canvas.height);
    drawing.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  } catch {
    return picture; // The server will say what is wrong with it.
  }
}

// --- Answers ------------------------------------------------------------------------------------------------------

function newAnswer(name, url) {
  const card = $("answer-template").content.firstElementChild.cloneNode(true);
  const given = card.querySelector(".given");
  given.src = url;
  given.alt = `The picture ${name}`;
  given.addEventListener("error", () => { given.hidden = true; });
  card.querySelector(".file").textContent = name;
  card.querySelector(".label").textContent = "";
  card.classList.add("busy");
  card.setAttribute("aria-busy", "true");
  $("news").after(card);
  card.scrollIntoView({ block: "nearest" });
  const old = [...document.querySelectorAll(".answer")].slice(KEPT_ANSWERS);
  for (const each of old) {
    URL.revokeObjectURL(each.querySelector(".given").src);
    each.remove();
  }
  return card;
}

function drawBars(list, rows) {
  list.classList.toggle("several", rows.some((row) => row.threshold !== undefined));
  const items = rows.map(({ label, probability, threshold, given }) => {
    const item = document.createElement("li");
    const parts = [["text", label], ["share", percent.format(probability)]].map(([name, text]) => {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = text;
      return part;
    });
    const track = document.createElement("div");
    const fill = document.createElement("div");
    track.className = "track";
    track.setAttribute("aria-hidden", "true");
    fill.className = "fill";
    fill.style.setProperty("--share", Math.min(1, probability));
    track.append(fill);
    if (threshold !== undefined) {
      // Of several labels each is given from a probability of its own.
      const mark = document.createElement("div");
      mark.className = "mark";
      mark.style.setProperty("--from", threshold);
      track.append(mark);
      item.classList.toggle("chosen", given);
      parts[1].title = `given from ${percent.format(threshold)}`;
      parts[0].textContent = given ? `✓ ${label}` : label;
    }
    item.append(...parts, track);
    return item;
  });
  list.replaceChildren(...items);
}

// What is said of a picture, and its bars under a heading for each question: one but where there are several tasks.
function readAnswer(answer) {
  if (answer.tasks) {
    const tasks = Object.entries(answer.tasks);
    return { said: tasks.map(([task, own]) => `${task}: ${own.label}`).join(", "), sure: null,
      parts: tasks.map(([task, own]) => ({ title: task, label: own.label, rows: own.top })) };
  }
  if (answer.labels) {
    const given = new Set(answer.labels.map((row) => row.label));
    const others = answer.top.filter((row) => !given.has(row.label));
    const rows = [...answer.labels, ...others].map((row) => ({ ...row, given: given.has(row.label) }));
    return { said: [...given].join(", ") || "None of the labels", sure: null, parts: [{ title: "", rows }] };
  }
  return { said: answer.label, sure: answer.probability, parts: [{ title: "", rows: answer.top }] };
}

function showAnswer(card, name, answer) {
  const { said, sure, parts } = readAnswer(answer);
  card.querySelector(".label").textContent = said;
  const bars = card.querySelector(".bars");
  drawBars(bars, parts[0].rows);
  if (parts[0].title) {
    bars.before(heading(parts[0]));
    let last = bars;
    for (const part of parts.slice(1)) {
      const more = document.createElement("ol");
      more.className = "bars";
      drawBars(more, part.rows);
      last.after(heading(part), more);
      last = more;
    }
  }
  const { decode, inference } = answer.timing;
  const shrunk = answer.shrunk ? ", made smaller here first" : "";
  card.querySelector(".time").textContent =
    `${milliseconds(answer.total)} in all: decoding ${milliseconds(decode)}, model ${milliseconds(inference)}${shrunk}`;
  if (answer.input) {
    card.querySelector(".seen").src = answer.input;
    card.querySelector(".saw").hidden = false;
  }
  $("news").textContent = sure === null ? `${name}: ${said}` : `${name}: ${said}, ${percent.format(sure)}`;
}

function heading({ title, label }) {
  const line = document.createElement("h4");
  line.className = "task";
  line.textContent = `${title}: ${label}`;
  return line;
}

function showFailure(card, name, error) {
  card.classList.add("failed");
  card.querySelector(".label").textContent = error.message;
  card.querySelector(".time").textContent = error.hint ?? "";
  $("news").textContent = `${name}: ${error.message}`;
}

async function take(pictures) {
  // One after another: the first answer is there while the others wait their turn.
  const waiting = pictures.map((picture) => {
    const name = picture.name || "pasted picture";
    return { picture, name, card: null };
  });
  for (const each of [...waiting].reverse()) each.card = newAnswer(each.name, URL.createObjectURL(each.picture));
  for (const { picture, name, card } of waiting) {
    try {
      showAnswer(card, name, await classify(picture));
    } catch (error) {
      showFailure(card, name, error);
    }
    card.classList.remove("busy");
    card.removeAttribute("aria-busy");
  }
}

// --- Ways to bring a picture --------------------------------------------------------------------------------------

for (const id of ["files", "capture"]) {
  $(id).addEventListener("change", (event) => {
    const pictures = [...event.target.files];
    event.target.value = "";
    take(pictures);
  });
}

let depth = 0;
const over = (change) => {
  depth = Math.max(0, depth + change);
  document.body.classList.toggle("over", depth > 0);
};
addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
addEventListener("dragleave", () => over(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over(-depth);
  take([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => {
  const pictures = [...(event.clipboardData?.files ?? [])];
  if (pictures.length) {
    event.preventDefault();
    take(pictures);
  }
});

// --- The camera ---------------------------------------------------------------------------------------------------

let stream = null;
let opening = null; // The one that the user sees or is asked about; another's stream, which comes later, is not wanted.
let live = 0;

$("camera-open").addEventListener("click", async () => {
  // Browsers give a page the camera over https and on this machine alone; elsewhere a phone's own camera takes the photo.
  if (!navigator.mediaDevices?.getUserMedia) {
    $("capture").click();
    return;
  }
  // Open, or being opened; one that was pulled out is opened anew.
  if (opening && stream?.active !== false) return;
  const own = (opening = Symbol("opening"));
  $("camera").hidden = false;
  $("camera-note").textContent = "Waiting for the camera…";
  try {
    const opened = await navigator.mediaDevices.getUserMedia(
      { video: { facingMode: "environment", width: { ideal: 1280 } } });
    if (opening !== own) {
      // Closed while the browser asked: the camera would stay on, with nothing there to close it.
      stop(opened);
      return;
    }
    stream = opened;
    $("video").srcObject = stream;
    await $("video").play();
    if (opening !== own) return;
    $("camera-note").textContent = "";
    $("snap").focus();
  } catch (error) {
    if (opening !== own) return;
    closeCamera();
    $("camera").hidden = false;
    $("camera-note").textContent = error.name === "NotAllowedError"
      ? "The browser does not allow the camera for this page." : "There is no camera to use.";
  }
});

function stop(camera) {
  for (const track of camera.getTracks()) track.stop();
}

function frame() {
  const video = $("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done, fail) => canvas.toBlob(
    (blob) => (blob ? done(blob) : fail(new Error("The camera gave no picture."))), "image/jpeg", 0.92));
}

$("snap").addEventListener("click", async () => {
  if (stream) take([new File([await frame()], "from the camera", { type: "image/jpeg" })]);
});

$("live").addEventListener("click", () => (live ? stopLive() : startLive()));

async function startLive() {
  const round = (live = Date.now());
  $("live").setAttribute("aria-pressed", "true");
  $("live-bars").hidden = false;
  while (stream && live === round) {
    try {
      const answer = await classify(await frame(), false);
      if (live !== round) break;
      const { parts } = readAnswer(answer);
      drawBars($("live-bars"), parts.length > 1
        ? parts.map(({ title, rows }) => ({ ...rows[0], label: `${title}: ${rows[0].label}` })) : parts[0].rows.slice(0, 3));
      $("camera-note").textContent = `${milliseconds(answer.total)} per picture`;
    } catch (error) {
      $("camera-note").textContent = error.message;
      stopLive();
    }
    await new Promise((done) => setTimeout(done, LIVE_EVERY_MS));
  }
}

function stopLive() {
  live = 0;
  $("live").setAttribute("aria-pressed", "false");
  $("live-bars").hidden = true;
}

function closeCamera() {
  stopLive();
  if (stream) stop(stream);
  stream = null;
  opening = null;
  $("video").srcObject = null;
  $("camera").hidden = true;
}

$("camera-close").addEventListener("click", () => {
  closeCamera();
  $("camera-open").focus();
});

// --- The model ----------------------------------------------------------------------------------------------------

// What a split's figures say: of one label how many are right, of several labels the mAP, of each task its own.
function scores(split, figures, task = "") {
  if (figures.tasks) return Object.entries(figures.tasks).flatMap(([name, own]) => scores(split, own, `${name}, `));
  const { map, accuracy, n } = figures;
  if (typeof map === "number") return [[`mAP (${split})`, `${percent.format(map)}${n ? `, ${n} pictures` : ""}`]];
  if (typeof accuracy !== "number") return [];
  return [[`Right (${task}${split})`, `${percent.format(accuracy)}${n ? ` of ${n} pictures` : ""}`]];
}

async function showModel() {
  let model;
  try {
    model = await ask("model");
  } catch (error) {
    if (error.status !== 401) $("subtitle").textContent = error.message;
    return false;
  }
  limits = model.limits;
  const { labels, tasks, kind, backbone, strategy, precision, preprocessing, metrics, created } = model.card;
  background = preprocessing.alpha_background;
  document.title = `${model.name} · edge`;
  const few = new Intl.ListFormat("en", { type: "disjunction" });
  $("title").textContent = kind === "multi-label" ? "What is in it?"
    : kind !== "multi-task" && labels.length <= 4 ? `Is it ${few.format(labels)}?` : "What is it?";
  const facts = [
    ["Name", model.name],
    ["Network", `${backbone}, ${precision}`],
    ["Trained", strategy],
    ...Object.entries(metrics).flatMap(([split, figures]) => scores(split, figures)),
    ["Sees", `${preprocessing.width} × ${preprocessing.height} pixels`],
    ["Made", created ? new Date(created).toLocaleDateString(undefined, { dateStyle: "medium" }) : "not stated"],
    ...(model.signed_by ? [["Signed by", model.signed_by]] : []),
  ];
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const [term, description] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    description.textContent = value;
    return [term, description];
  }));
  $("labels-title").textContent = `${labels.length} labels${tasks ? ` of ${tasks.length} tasks` : ""}`;
  $("labels").replaceChildren(...labels.map((label) => {
    const item = document.createElement("li");
    item.textContent = label;
    return item;
  }));
  $("labels").closest("details").open = labels.length <= 12;
  $("model").hidden = false;
  showOthers(model.models ?? [], model.name);
  return true;
}

// Of several models each page lies in a folder of its name, beside those of the others.
function showOthers(names, own) {
  if (location.pathname.endsWith(`/models/${own}/`)) document.querySelector("aside a").href = "../../openapi.json";
  $("models").hidden = names.length === 0;
  $("models").replaceChildren(...names.map((name) => {
    const link = document.createElement("a");
    link.className = "button";
    link.textContent = name;
    link.href = `../${encodeURIComponent(name)}/`;
    if (name === own) link.setAttribute("aria-current", "page");
    return link;
  }));
}

sendTokenWith(document.querySelector("aside a"));
whenUnlocked(showModel, () => $("files").focus());
showModel();
