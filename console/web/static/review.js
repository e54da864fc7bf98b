// The Review page: what is on the desk, and one key for each answer.

import { banner, duration, post, Refused } from "./console.js";

const POLL_MS = 2000;
const HIDDEN_MS = 20000;
const FRESH_MS = 150; // nobody judges a photo that fast: such a key was meant for the one before

const $ = (id) => document.getElementById(id);
const buttons = [...document.querySelectorAll(".answer")];
const names = Object.fromEntries(
  buttons.filter((button) => button.dataset.vehicle).map((button) => [button.dataset.vehicle, button.dataset.name]),
);

let tab = newTab();
let current = null; // the request before the reviewer
let looked = false; // whether the desk has answered once
let since = performance.now(); // when `current`'s times were right
let figures = null;
let busy = false;
let asked = 0; // requests under way and done, so that a late poll cannot undo what a key did
let told = 0; // the last notice that was shown
let undoEnds = null;
let hiddenSince = null;
const log = [];

function newTab() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function ask(action, body = {}) {
  const number = ++asked;
  try {
    const desk = await post(`/api/${action}`, { tab, ...body });
    banner("");
    if (number === asked) show(desk);
    return desk;
  } catch (error) {
    if (error instanceof Refused) {
      say(error.message);
      banner(error.status === 409 ? "" : error.message);
      if (error.status === 409) setTimeout(poll, 0);
    } else {
      banner("The console is out of reach. Nothing is lost: the photo goes back to the queue, and this page tries again.");
    }
    return null;
  }
}

async function poll() {
  if (!busy && !hiddenSince) await ask("look");
}

async function act(action, body) {
  if (busy) return null;
  busy = true;
  document.body.classList.add("busy");
  try {
    return await ask(action, body);
  } finally {
    busy = false;
    document.body.classList.remove("busy");
    setTimeout(poll, 0); // for the photo after the next one
  }
}

async function answer(vehicle) {
  if (!current || document.body.classList.contains("fresh")) return;
  const id = current.id;
  const desk = await act("answer", { id, vehicle });
  if (desk) say(`${names[vehicle]}. ${desk.hands.length ? "Next photo." : "No more photos."}`);
}

async function skip() {
  if (!current) return;
  const desk = await act("skip", { id: current.id });
  if (desk) say(desk.hands.length ? "Skipped. Next photo." : "Skipped.");
}

async function undo() {
  const desk = await act("undo");
  if (desk) say(desk.undone ? "Taken back. Answer again." : "Too late to take anything back.");
}

function say(text) {
  $("said").textContent = text;
}

function show(desk) {
  since = performance.now();
  if (desk.figures) {
    figures = { ...desk.figures, at: since };
    showFigures();
  }
  const [first = null, next = null] = desk.hands;
  const changed = !looked || first?.id !== current?.id;
  looked = true;
  current = first;
  if (changed) {
    showPhoto(first);
    document.body.classList.add("fresh");
    setTimeout(() => document.body.classList.remove("fresh"), FRESH_MS);
  }
  if (next) preload(next);
  showUndo(desk.pending);
  showNotices(desk.notices);
  tick();
}

function showFigures() {
  $("figure-waiting").textContent = figures.waiting;
  $("figure-drivers").textContent = figures.drivers;
  $("figure-today").textContent = figures.answers_today;
  $("figure-dead").textContent = figures.dead;
  $("figure-dead-box").hidden = !figures.dead;
}

function preload(held) {
  new Image().src = `/photos/${held.photo_id}`;
}

function showPhoto(held) {
  $("photo-box").hidden = !held;
  $("about").hidden = !held;
  $("empty").hidden = Boolean(held);
  for (const button of buttons) button.disabled = !held;
  if (!held) {
    $("empty-title").textContent = "All done";
    $("empty-text").textContent = "Nobody waits. New photos appear here by themselves.";
    document.title = document.title.replace(/^\(\d+\) /, "");
    return;
  }
  const image = $("photo");
  $("no-picture").hidden = true;
  image.hidden = false;
  image.alt = `Photo of driver ${held.driver}, to be judged`;
  image.onerror = async () => {
    image.hidden = true;
    $("no-picture").hidden = false;
    $("no-picture").textContent = await whyNot(held);
  };
  image.src = `/photos/${held.photo_id}`;
  $("photo-name").textContent = `${held.driver} · ${held.file}`;
  $("reason").textContent = held.reason;
  $("model").hidden = !held.probabilities.length;
  $("probabilities").replaceChildren(...held.probabilities.map((pair) => bar(pair, held)));
  $("model-version").textContent =
    held.threshold === null ? held.model_version ?? "" : `Threshold ${held.threshold.toFixed(3)} · ${held.model_version}`;
}

async function whyNot(held) {
  try {
    const answer = await fetch(`/photos/${held.photo_id}`);
    return answer.ok ? "The picture did not load." : (await answer.json()).detail;
  } catch {
    return "The picture did not load.";
  }
}

function bar([name, share], held) {
  const row = $("bar").content.firstElementChild.cloneNode(true);
  const title = name === "other" ? "Other" : names[name] ?? name;
  row.querySelector(".probability-name").textContent = title;
  const meter = row.querySelector(".share");
  meter.setAttribute("aria-label", title);
  meter.setAttribute("aria-valuenow", (share * 100).toFixed(1));
  meter.setAttribute("aria-valuetext", `${(share * 100).toFixed(0)}%`);
  meter.firstElementChild.style.width = `${share * 100}%`;
  row.querySelector(".probability-share").textContent = `${(share * 100).toFixed(1)}%`;
  row.classList.toggle("top", name === held.vehicle);
  return row;
}

function showUndo(pending) {
  const last = pending.at(-1);
  $("undo").hidden = !last;
  if (!last) {
    undoEnds = null;
    return;
  }
  const ends = performance.now() + last.left_s * 1000;
  const key = `${last.photo_id} ${last.vehicle}`;
  if (undoEnds?.key === key && Math.abs(undoEnds.at - ends) < 400) return;
  undoEnds = { key, at: ends };
  $("undo-text").textContent = `${names[last.vehicle]}${pending.length > 1 ? `, and ${pending.length - 1} before it` : ""}`;
  $("window-left").getAnimations().forEach((animation) => animation.cancel());
  const from = last.total_s ? last.left_s / last.total_s : 0;
  $("window-left").animate([{ transform: `scaleX(${from})` }, { transform: "scaleX(0)" }], {
    duration: last.left_s * 1000,
    fill: "forwards",
  });
  setTimeout(() => {
    if (undoEnds?.key === key && performance.now() >= undoEnds.at - 20) {
      $("undo").hidden = true;
      setTimeout(poll, 300);
    }
  }, last.left_s * 1000 + 20);
}

function showNotices(notices) {
  // A new seat numbers its notices from one again.
  if (notices.length === 0) told = 0;
  const fresh = notices.filter((notice) => notice.number > told);
  if (!fresh.length) return;
  told = fresh.at(-1).number;
  log.unshift(...fresh.reverse());
  log.length = Math.min(log.length, 8);
  $("log").replaceChildren(...log.map(line));
  const kind = fresh.find((notice) => notice.kind !== "routed");
  if (kind) say(kind.message);
}

function line(notice) {
  const item = document.createElement("li");
  item.className = `notice ${notice.kind}`;
  const image = document.createElement("img");
  image.src = `/photos/${notice.photo_id}?size=thumb`;
  image.alt = "";
  image.width = image.height = 36;
  image.onerror = () => image.remove();
  const what = document.createElement("b");
  what.textContent = names[notice.vehicle] ?? notice.vehicle;
  const words = document.createElement("span");
  words.textContent = notice.message;
  item.append(image, what, words);
  return item;
}

function tick() {
  const passed = (performance.now() - since) / 1000;
  if (figures) {
    $("figure-oldest").textContent = figures.oldest_s === null ? "–" : duration(figures.oldest_s + (performance.now() - figures.at) / 1000);
  }
  if (!current) return;
  const left = current.expires_in_s - passed;
  const late = current.only_label || left <= 0;
  $("waited").textContent = duration(current.waited_s + passed);
  $("expires").textContent = late ? "expired" : duration(left);
  $("expires").classList.toggle("urgent", !late && left < 120);
  $("only-label").hidden = !late;
  $("only-label").textContent = `The driver was sent to ${current.sent_to ?? "the help desk"} already. Your answer still teaches the model.`;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  const key = event.key.toLowerCase();
  if (key === "z") {
    event.preventDefault();
    undo();
    return;
  }
  const button = buttons.find((one) => one.dataset.key === key);
  if (!button) return;
  event.preventDefault();
  button.classList.add("pressed");
  setTimeout(() => button.classList.remove("pressed"), 160);
  if (button.id === "skip") skip();
  else answer(button.dataset.vehicle);
});

for (const button of buttons) {
  button.addEventListener("click", () => (button.id === "skip" ? skip() : answer(button.dataset.vehicle)));
}
$("undo-button").addEventListener("click", undo);

// A hidden page is not a photo on the screen: after a while someone else may have it.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    hiddenSince = setTimeout(leave, HIDDEN_MS);
    return;
  }
  clearTimeout(hiddenSince);
  hiddenSince = null;
  poll();
});
window.addEventListener("pagehide", leave);
window.addEventListener("pageshow", (event) => {
  if (event.persisted) poll();
});
window.addEventListener("online", poll);

function leave() {
  const left = tab;
  tab = newTab();
  current = null;
  post("/api/leave", { tab: left }, { keepalive: true }).catch(() => {});
}

setInterval(poll, POLL_MS);
setInterval(tick, 500);
poll();
