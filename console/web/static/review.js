// The Review page: the requests of this tab's session, and one key for each answer.

import { banner, duration, post, ResponseError } from "./console.js";
import * as photoView from "./photo-view.js";
import { buttons, names } from "./review-answers.js";
import { showDetails } from "./review-details.js";
import { options, startOptions } from "./review-options.js";

const POLL_MS = 2000;
const HIDDEN_MS = 20000;
const SAID_MS = 5000;
const NOT_CHOSEN_MS = 20000;
const OFFLINE = "Not connected: nothing was sent. The photo goes back to the queue; this page tries again automatically.";
const FRESH_MS = 150; // a key press before that was meant for the previous photo

const $ = (id) => document.getElementById(id);
let tab = newTab();
let current = null; // the request on the screen
let loaded = false; // whether the first response has arrived
let since = performance.now(); // when the durations in `current` were measured
let figures = null;
let busy = false;
let offline = false;
let silence = null; // the timer that hides what was said
let sent = 0; // number of requests so far: the response to an older one is not shown
let notified = 0; // the number of the last notice shown
let undoEnds = null;
let hiddenSince = null;
let wanted = new URLSearchParams(location.search).get("photo"); // a photo that was chosen on another page
const log = [];

function newTab() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(action, body = {}) {
  const number = ++sent;
  try {
    const session = await post(`/api/${action}`, { tab, blind: options.blind, ...body });
    banner("");
    setOffline(false);
    if (number === sent) show(session);
    return session;
  } catch (error) {
    if (error instanceof ResponseError) {
      setOffline(false);
      banner(error.status === 409 ? "" : error.message);
      if (error.status === 409) {
        say(error.message);
        setTimeout(poll, 0);
      } else {
        announce(error.message);
      }
    } else {
      setOffline(true);
    }
    return null;
  }
}

async function poll() {
  if (busy || hiddenSince) return;
  if (!wanted) {
    await send("take");
    return;
  }
  busy = true; // a search takes some seconds
  const session = await send("take", { photo: wanted });
  busy = false;
  if (!session) return;
  wanted = null;
  history.replaceState(null, "", location.pathname); // a photo of a later visit is that of the queue
  if (session.not_chosen) say(session.not_chosen, NOT_CHOSEN_MS);
}

function setOffline(now) {
  if (offline === now) return;
  offline = now;
  enableAnswers();
  if (offline) banner("The console cannot be reached. The photo goes back to the queue. This page tries again automatically.");
}

function enableAnswers() {
  for (const button of buttons) button.disabled = offline || !current;
  $("undo-button").disabled = offline;
}

async function act(action, body) {
  if (offline) {
    say(OFFLINE);
    return null;
  }
  if (busy) return null;
  busy = true;
  document.body.classList.add("busy");
  try {
    return await send(action, body);
  } finally {
    busy = false;
    document.body.classList.remove("busy");
    setTimeout(poll, 0); // for the photo after the next one
  }
}

async function answer(vehicle) {
  if (!current || document.body.classList.contains("fresh")) return;
  const id = current.id;
  const session = await act("answer", { id, vehicle });
  if (session) announce(`${names[vehicle]}. ${session.leased.length ? "Next photo." : "The queue is empty."}`);
}

async function skip() {
  if (!current) return;
  const session = await act("skip", { id: current.id });
  if (session) say(session.leased.length ? "Skipped, for another reviewer. Next photo." : "Skipped, for another reviewer.");
}

async function undo() {
  const session = await act("undo");
  if (session) say(session.undone ? "Undone. Answer again." : "Too late to undo: the answer was sent.");
}

/** Announce a text to screen readers. */
function announce(text) {
  $("status").textContent = text;
}

/** Show a text for some seconds, and announce it. */
function say(text, duration_ms = SAID_MS) {
  announce(text);
  $("said").textContent = text;
  $("said").hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => ($("said").hidden = true), duration_ms);
}

function show(session) {
  since = performance.now();
  if (session.figures) {
    figures = { ...session.figures, at: since };
    showFigures();
    $("attention").hidden = !session.attention;
    if ($("attention").textContent !== (session.attention ?? "")) $("attention").textContent = session.attention ?? "";
  }
  const [first = null, next = null] = session.leased;
  const changed = !loaded || first?.id !== current?.id;
  loaded = true;
  current = first;
  if (first) showDetails(first);
  if (changed) {
    showPhoto(first);
    document.body.classList.add("fresh");
    setTimeout(() => document.body.classList.remove("fresh"), FRESH_MS);
  }
  if (next) preload(next);
  showUndo(session.undoable);
  showNotices(session.notices);
  tick();
}

function showFigures() {
  $("figure-waiting").textContent = figures.waiting;
  $("figure-drivers").textContent = figures.drivers;
  $("figure-audits").textContent = figures.audits;
  $("figure-today").textContent = figures.answers_today;
  $("figure-dead").textContent = figures.dead;
  $("figure-dead-box").hidden = !figures.dead;
}

function preload(request) {
  new Image().src = `/images/${request.photo_id}`;
}

function showPhoto(request) {
  $("photo-box").hidden = !request;
  $("details").hidden = !request;
  $("empty").hidden = Boolean(request);
  enableAnswers();
  if (!request) {
    $("photo-name").textContent = "";
    photoView.reset();
    $("empty-title").textContent = "The queue is empty";
    $("empty-text").textContent = "New photos appear here automatically.";
    return;
  }
  const image = $("photo");
  $("no-picture").hidden = true;
  image.hidden = false;
  image.alt = `Photo of driver ${request.driver}, to be classified`;
  image.onerror = async () => {
    image.hidden = true;
    $("no-picture").hidden = false;
    $("no-picture").textContent = await whyNotShown(request);
  };
  image.src = `/images/${request.photo_id}`;
  photoView.reset();
  $("photo-name").textContent = `${request.driver} · ${request.file}`;
}

async function whyNotShown(request) {
  try {
    const response = await fetch(`/images/${request.photo_id}`);
    return response.ok ? "The photo could not be loaded." : (await response.json()).detail;
  } catch {
    return "The photo could not be loaded.";
  }
}

function showUndo(undoable) {
  const last = undoable.at(-1);
  $("undo").hidden = !last;
  if (!last) {
    undoEnds = null;
    return;
  }
  const ends = performance.now() + last.left_s * 1000;
  const key = `${last.photo_id} ${last.vehicle}`;
  if (undoEnds?.key === key && Math.abs(undoEnds.at - ends) < 400) return;
  undoEnds = { key, at: ends };
  $("undo-text").textContent = `${names[last.vehicle]}${undoable.length > 1 ? `, and ${undoable.length - 1} before` : ""}`;
  $("undo-left").getAnimations().forEach((animation) => animation.cancel());
  const from = last.total_s ? last.left_s / last.total_s : 0;
  $("undo-left").animate([{ transform: `scaleX(${from})` }, { transform: "scaleX(0)" }], {
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
  // A new session numbers its notices from 1.
  if (notices.length === 0) notified = 0;
  const fresh = notices.filter((notice) => notice.number > notified);
  if (!fresh.length) return;
  notified = fresh.at(-1).number;
  log.unshift(...fresh.reverse());
  log.length = Math.min(log.length, 8);
  $("log").replaceChildren(...log.map(line));
  const notRouted = fresh.find((notice) => notice.kind !== "routed");
  if (notRouted) say(notRouted.message);
}

function line(notice) {
  const item = document.createElement("li");
  item.className = `notice ${notice.kind}`;
  const image = document.createElement("img");
  image.src = `/images/${notice.photo_id}?size=thumb`;
  image.alt = "";
  image.width = image.height = 36;
  image.onerror = () => image.remove();
  const vehicle = document.createElement("b");
  vehicle.textContent = names[notice.vehicle] ?? notice.vehicle;
  const message = document.createElement("span");
  message.textContent = notice.message;
  item.append(image, vehicle, message);
  return item;
}

function tick() {
  const passed = (performance.now() - since) / 1000;
  if (figures) {
    $("figure-oldest").textContent = figures.oldest_s === null ? "–" : duration(figures.oldest_s + (performance.now() - figures.at) / 1000);
  }
  if (!current) return;
  const left = current.expires_in_s === null ? null : current.expires_in_s - passed;
  const late = current.label_only || left <= 0;
  $("waited").textContent = duration(current.waited_s + passed);
  $("expires").textContent = left === null ? "–" : late ? "timed out" : duration(left);
  $("expires").classList.toggle("urgent", !late && left < 120);
  $("label-only").hidden = !late;
  $("label-only").textContent = current.audit
    ? "No driver waits. You see the other opinion after your answer."
    : `${current.ended ?? "The review timed out, so the driver was sent to the help desk."} Your answer is kept as a label.`;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  const key = event.key.toLowerCase();
  if (!options.keys) return;
  if (key === "?") {
    event.preventDefault();
    $("help").showModal();
    return;
  }
  if (key === "z") {
    event.preventDefault();
    undo();
    return;
  }
  if (key === "g") {
    event.preventDefault();
    $("guide").open = !$("guide").open;
    if ($("guide").open) $("guide").scrollIntoView({ block: "nearest" });
    return;
  }
  if (!(key.startsWith("arrow") && event.target.closest(".side")) && photoView.handleKey(key)) {
    event.preventDefault();
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

// A page that is hidden for HIDDEN_MS gives its photos back to the queue.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    hiddenSince = setTimeout(closeSession, HIDDEN_MS);
    return;
  }
  clearTimeout(hiddenSince);
  hiddenSince = null;
  poll();
});
window.addEventListener("pagehide", closeSession);
window.addEventListener("pageshow", (event) => {
  if (event.persisted) poll();
});
window.addEventListener("online", poll);
window.addEventListener("offline", () => setOffline(true));

function closeSession() {
  const closed = tab;
  tab = newTab();
  current = null;
  post("/api/close-session", { tab: closed }, { keepalive: true }).catch(() => {});
}

startOptions(poll);
setInterval(poll, POLL_MS);
setInterval(tick, 500);
poll();
