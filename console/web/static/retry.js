// A page that AWS did not answer: asks for it again until it is there, then shows it.

const RETRY_MS = 5000;

async function retry() {
  try {
    const response = await fetch(location.href);
    if (response.ok || response.status < 500) location.reload();
    else document.getElementById("retry-status").textContent = `Tried again at ${new Date().toLocaleTimeString()}. This page goes on trying.`;
  } catch {
    document.getElementById("retry-status").textContent = "The console cannot be reached. Does it still run, in its terminal or on AWS?";
  }
}

document.getElementById("retry").addEventListener("click", () => location.reload());
setInterval(() => document.hidden || retry(), RETRY_MS);
