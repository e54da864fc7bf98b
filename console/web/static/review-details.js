// The reason of a request, and the prediction of the model.

import { names } from "./review-answers.js";

const $ = (id) => document.getElementById(id);

export function showDetails(request) {
  $("reason").textContent = request.reason;
  $("audit").hidden = !request.audit;
  $("hidden-model").hidden = request.audit || !request.blind;
  $("model").hidden = !request.probabilities.length;
  $("probabilities").replaceChildren(...request.probabilities.map((pair) => bar(pair, request)));
  $("model-version").textContent =
    request.threshold === null ? request.model_version ?? "" : `Threshold ${request.threshold.toFixed(3)} · ${request.model_version}`;
}

function bar([name, share], request) {
  const row = $("bar").content.firstElementChild.cloneNode(true);
  const title = name === "other" ? "Other" : names[name] ?? name;
  row.querySelector(".probability-name").textContent = title;
  const meter = row.querySelector(".share");
  meter.setAttribute("aria-label", title);
  meter.setAttribute("aria-valuenow", (share * 100).toFixed(1));
  meter.setAttribute("aria-valuetext", `${(share * 100).toFixed(0)}%`);
  meter.firstElementChild.style.width = `${share * 100}%`;
  row.querySelector(".probability-share").textContent = `${(share * 100).toFixed(1)}%`;
  row.classList.toggle("top", name === request.vehicle);
  return row;
}
