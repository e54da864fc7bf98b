// The Now page: reads itself again every few seconds, and says how old the figures are.

import { post } from "./console.js";

const REFRESH_MS = 10_000;
const OLD_S = 30;

const rows = document.getElementById("rows");
const age = document.getElementById("age");
const problem = document.getElementById("age-problem");

function showAge() {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(age.dateTime)) / 1000));
  age.textContent = `${seconds} s ago`;
  document.getElementById("age-line").classList.toggle("problem", seconds > OLD_S);
}

async function refresh() {
  // A button under the pointer or the cursor of the keyboard must not be replaced.
  if (document.hidden || rows.contains(document.activeElement) || document.querySelector("dialog[open]")) return;
  try {
    const response = await fetch(location.href);
    if (!response.ok) throw new Error(`The console answered ${response.status}.`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const found = page.getElementById("rows");
    if (!found.isEqualNode(rows)) rows.replaceChildren(...found.children);
    age.dateTime = page.getElementById("age").dateTime;
    problem.textContent = "";
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "The console cannot be reached, so these figures are old." : error.message;
  }
  showAge();
}

showAge();
setInterval(showAge, 1000);
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);

// Only operators have it.
const dialog = document.getElementById("repair");
rows.addEventListener("click", (event) => {
  if (!event.target.closest("[data-opens=repair]")) return;
  document.getElementById("repair-problem").textContent = "";
  dialog.showModal();
});
document.getElementById("repair-cancel")?.addEventListener("click", () => dialog.close());
dialog?.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { execution } = await post("/api/repair", { confirm: document.getElementById("repair-stage").value.trim() });
    document.getElementById("repair-progress").textContent = `Started. The row Endpoint shows the progress; execution ${execution}`;
    dialog.close();
    document.activeElement?.blur();
    await refresh();
  } catch (error) {
    document.getElementById("repair-problem").textContent = error.message;
  }
});
