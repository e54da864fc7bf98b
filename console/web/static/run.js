// The page of one retraining or rollback: reads itself again while the execution runs.

const REFRESH_MS = 3000;

const progress = document.getElementById("run-progress");
const run = () => document.getElementById("run");
const current = () => document.querySelector(".timeline li:last-child .state")?.textContent;

function announce() {
  const state = current();
  const text = run().dataset.status === "RUNNING" ? `Running${state ? `: ${state}` : ""}.` : "Ended.";
  if (progress.textContent !== text) progress.textContent = text;
}

async function refresh() {
  if (run().dataset.status !== "RUNNING") return clearInterval(timer);
  if (document.hidden) return;
  try {
    const response = await fetch(location.href);
    if (!response.ok) throw new Error(`The console answered ${response.status}.`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const found = page.getElementById("run");
    if (!found.isEqualNode(run())) run().replaceWith(found);
    announce();
  } catch (error) {
    progress.textContent = error instanceof TypeError ? "The console cannot be reached, so this page is old." : error.message;
  }
}

announce();
const timer = setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);
