// The Model page: the operators' dialogs, each of which asks before it changes something.

import { post } from "./console.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-opens]");
  if (!button) return;
  const dialog = document.getElementById(button.dataset.opens);
  dialog.querySelector(".problem").textContent = "";
  dialog.showModal();
});

for (const dialog of document.querySelectorAll("dialog[data-address]")) {
  dialog.querySelector(".cancel").addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const submit = dialog.querySelector("[type=submit]");
    const confirm = dialog.querySelector("[name=confirm]").value.trim();
    submit.disabled = true;
    try {
      const { address } = await post(dialog.dataset.address, { ...JSON.parse(dialog.dataset.body), confirm });
      location.assign(address);
    } catch (error) {
      dialog.querySelector(".problem").textContent = error.message;
      submit.disabled = false;
    }
  });
}
