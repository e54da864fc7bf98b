// The page for other teams: copy a text, send a test event.

import { post } from "./console.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copies);
  const said = button.nextElementSibling;
  try {
    await navigator.clipboard.writeText(source.textContent);
    said.textContent = "Copied.";
  } catch (error) {
    getSelection().selectAllChildren(source);
    said.textContent = `Selected; copy it with the keyboard. The browser refuses to: ${error.message}`;
  }
});

const dialog = document.getElementById("test-event");
let pressed = null;

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sends]");
  if (!button) return;
  pressed = button;
  document.getElementById("test-event-type").textContent = button.dataset.sends;
  document.getElementById("test-event-problem").textContent = "";
  dialog.showModal();
});

document.getElementById("test-event-cancel")?.addEventListener("click", () => dialog.close());
dialog?.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const submit = dialog.querySelector("[type=submit]");
  submit.disabled = true;
  try {
    const confirm = document.getElementById("test-event-stage").value.trim();
    const { id, source } = await post("/api/teams/test-event", { detail_type: pressed.dataset.sends, confirm });
    pressed.nextElementSibling.textContent = `Sent from ${source}, id ${id}`;
    dialog.close();
  } catch (error) {
    document.getElementById("test-event-problem").textContent = error.message;
  }
  submit.disabled = false;
});
