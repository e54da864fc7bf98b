// The page of failed requests: replay the messages on the screen, or one of them; remove those that are repaired. The
// page has the messages as they were read last, and reads them again.

import { post } from "./console.js";

const FRESH_MS = 2000;

const messages = document.getElementById("messages");
const readAt = document.getElementById("read-at");
const state = document.getElementById("read-state");
let used = false;
const shown = () => [...document.querySelectorAll("[data-message]:not(.finished)")];

async function replay(button, chosen) {
  const result = document.getElementById("redrive-result");
  used = true;
  button.disabled = true;
  result.textContent = "Replaying …";
  try {
    const { results, summary } = await post("/api/redrive", { ids: chosen.map((one) => one.dataset.message) });
    for (const one of results) show(one);
    result.textContent = summary;
  } catch (error) {
    result.textContent = error.message;
  }
  button.disabled = false;
}

function show({ id, result, text }) {
  const message = document.querySelector(`[data-message="${CSS.escape(id)}"]`);
  if (!message || result === "stayed") return;
  if (result === "failed") message.querySelector(".redrive-done").textContent = `Failed: ${text}`;
  else finish(message, `${text[0].toUpperCase()}${text.slice(1)}.`);
}

function finish(message, text) {
  message.classList.add("finished");
  for (const button of message.querySelectorAll("button")) button.remove();
  message.querySelector(".redrive-done").textContent = text;
}

async function remove(button, message) {
  used = true;
  button.disabled = true;
  try {
    await post("/api/failed/remove", { id: message.dataset.message });
    finish(message, "Removed.");
  } catch (error) {
    message.querySelector(".redrive-done").textContent = error.message;
    button.disabled = false;
  }
}

messages.addEventListener("click", ({ target }) => {
  const message = target.closest("[data-message]");
  if (target.id === "redrive") replay(target, shown());
  else if (target.classList.contains("redrive-one")) replay(target, [message]);
  else if (target.classList.contains("remove-one")) remove(target, message);
});

/** Read the queues again. A list in use is not replaced, so that no button moves under the pointer or the keyboard. */
async function refresh() {
  state.textContent = "Reading the queues again …";
  try {
    const response = await fetch("/dead-letters?wait=yes");
    if (!response.ok) throw new Error(`The console answered ${response.status}.`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const ids = (list) => [...list.querySelectorAll("[data-message]")].map((one) => one.dataset.message).join();
    const found = page.getElementById("messages");
    const changed = ids(found) !== ids(messages);
    if (changed && (used || messages.matches(":hover") || messages.contains(document.activeElement))) {
      state.textContent = "The queues have changed since: Refresh shows them.";
      return;
    }
    if (changed) messages.replaceChildren(...found.children);
    readAt.replaceWith(page.getElementById("read-at"));
    state.textContent = "";
  } catch (error) {
    state.textContent = error instanceof TypeError ? "The console cannot be reached, so this list is old." : error.message;
  }
}

if (Date.now() - Date.parse(readAt.dateTime) > FRESH_MS) refresh();
