// The options of the Review page, which the browser keeps for each reviewer, and the list of keys.

import { buttons } from "./review-answers.js";

const $ = (id) => document.getElementById(id);
const optionsKey = `review-options:${$("review").dataset.reviewer}`;
export const options = { blind: false, keys: true, ...JSON.parse(localStorage.getItem(optionsKey) ?? "{}") };

/** Show the options and apply them; `changed` is called when the reviewer hides or shows the answer of the model. */
export function startOptions(changed) {
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("help-close").addEventListener("click", () => $("help").close());
  for (const name of ["blind", "keys"]) {
    $(`option-${name}`).checked = options[name];
    $(`option-${name}`).addEventListener("change", (event) => {
      options[name] = event.target.checked;
      localStorage.setItem(optionsKey, JSON.stringify(options));
      applyOptions();
      if (name === "blind") changed();
    });
  }
  applyOptions();
}

function applyOptions() {
  document.body.classList.toggle("without-keys", !options.keys);
  for (const button of [...buttons, $("undo-button")]) {
    if (options.keys) button.setAttribute("aria-keyshortcuts", button.dataset.key);
    else button.removeAttribute("aria-keyshortcuts");
  }
}
