// The page of failed requests: replay the messages on the screen, or one of them; remove those that are repaired.

import { post } from "./console.js";

const result = document.getElementById("redrive-result");
const shown = () => [...document.querySelectorAll("[data-message]:not(.finished)")];

async function replay(button, messages) {
  button.disabled = true;
  result.textContent = "Replaying …";
  try {
    const { results, summary } = await post("/api/redrive", { ids: messages.map((one) => one.dataset.message) });
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
  button.disabled = true;
  try {
    await post("/api/failed/remove", { id: message.dataset.message });
    finish(message, "Removed.");
  } catch (error) {
    message.querySelector(".redrive-done").textContent = error.message;
    button.disabled = false;
  }
}

document.getElementById("redrive")?.addEventListener("click", (event) => replay(event.currentTarget, shown()));
for (const message of shown()) {
  const [one, removal] = [message.querySelector(".redrive-one"), message.querySelector(".remove-one")];
  one?.addEventListener("click", () => replay(one, [message]));
  removal?.addEventListener("click", () => remove(removal, message));
}
