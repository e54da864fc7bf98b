// The reviewer's earlier answers, and another answer instead of one of them.

import { duration, get, post } from "./console.js";
import { names } from "./review-answers.js";

const $ = (id) => document.getElementById(id);
let corrected = null; // the answer that is being corrected

async function showList() {
  corrected = null;
  $("correction").hidden = $("history-back").hidden = true;
  $("history-list").hidden = false;
  if (!$("history-result").textContent) $("history-result").textContent = "Loading…";
  try {
    const { answers } = await get("/api/answers");
    if ($("history-result").textContent === "Loading…") $("history-result").textContent = "";
    $("history-list").replaceChildren(...answers.map(line));
    if (!answers.length) $("history-result").textContent = "You have given no answer in the last week.";
  } catch (error) {
    $("history-result").textContent = error.message;
  }
}

function line(answer) {
  const item = document.createElement("li");
  const image = document.createElement("img");
  image.src = `/images/${answer.photo_id}?size=thumb`;
  image.alt = "";
  image.width = image.height = 48;
  image.onerror = () => image.remove();
  const text = document.createElement("span");
  const vehicle = document.createElement("b");
  vehicle.textContent = names[answer.vehicle] ?? answer.vehicle;
  const before = answer.before.length ? `, before: ${answer.before.map((one) => names[one] ?? one).join(", ")}` : "";
  text.append(vehicle, `${before} · ${answer.driver} · ${duration(answer.ago_s)} ago`);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Correct";
  button.setAttribute("aria-label", `Correct ${vehicle.textContent} for ${answer.driver}`);
  button.addEventListener("click", () => choose(answer));
  item.append(image, text, button);
  return item;
}

function choose(answer) {
  corrected = answer;
  $("history-result").textContent = "";
  $("history-list").hidden = true;
  $("correction").hidden = $("history-back").hidden = false;
  $("correction-photo").src = `/images/${answer.photo_id}`;
  $("correction-photo").alt = `Photo of driver ${answer.driver}`;
  $("correction-text").textContent = `You answered ${names[answer.vehicle] ?? answer.vehicle}. What is right?`;
  for (const button of buttons) button.disabled = button.dataset.answer === answer.vehicle;
  buttons.find((button) => !button.disabled).focus();
}

async function correct(vehicle) {
  const { photo_id } = corrected;
  try {
    await post("/api/correct", { photo_id, vehicle });
    $("history-result").textContent = `Corrected: ${names[vehicle]}.`;
    await showList();
  } catch (error) {
    $("history-result").textContent = error.message;
  }
}

const buttons = [...document.querySelectorAll(".answer-correct")];
for (const button of buttons) button.addEventListener("click", () => correct(button.dataset.answer));
$("history-button").addEventListener("click", () => {
  $("history-result").textContent = "";
  $("history").showModal();
  showList();
});
$("history-back").addEventListener("click", showList);
$("history-close").addEventListener("click", () => $("history").close());
