// What every page needs: requests with the token, the reviewer's name, the banner.

const token = document.querySelector('meta[name="csrf-token"]').content;

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** POST to the console; resolves to its JSON. Throws Refused with the console's words, TypeError when out of reach. */
export async function post(address, body, options = {}) {
  const raw = body instanceof Blob;
  const answer = await fetch(address, {
    method: "POST",
    headers: { "X-CSRF-Token": token, ...(raw ? {} : { "Content-Type": "application/json" }) },
    body: raw ? body : JSON.stringify(body),
    ...options,
  });
  return read(answer);
}

export async function get(address) {
  return read(await fetch(address));
}

async function read(answer) {
  const text = await answer.text();
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    said = { detail: text };
  }
  if (!answer.ok) {
    const detail = typeof said.detail === "string" ? said.detail : "The console could not read the request.";
    throw new Refused(detail, answer.status);
  }
  return said;
}

export function banner(text) {
  const box = document.getElementById("banner");
  if (box.textContent !== text) box.textContent = text;
  box.hidden = !text;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const dialog = document.getElementById("rename");
const name = document.getElementById("rename-name");
document.getElementById("who").addEventListener("click", () => {
  document.getElementById("rename-problem").textContent = "";
  dialog.showModal();
  name.select();
});
document.getElementById("rename-cancel").addEventListener("click", () => dialog.close());
dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const said = await post("/api/reviewer", { name: name.value });
    document.getElementById("who-name").textContent = said.reviewer;
    dialog.close();
  } catch (error) {
    document.getElementById("rename-problem").textContent = error.message;
  }
});

document.getElementById("redrive")?.addEventListener("click", async () => {
  const said = document.getElementById("redriven");
  try {
    const { sent, stayed } = await post("/api/redrive", {});
    said.textContent = `${sent} sent back, ${stayed} stayed.`;
  } catch (error) {
    said.textContent = error.message;
  }
});

for (const image of document.querySelectorAll("img.thumb, img.whole")) {
  const replace = () => image.replaceWith(missing());
  if (image.complete && image.naturalWidth === 0 && image.loading !== "lazy") replace();
  else image.addEventListener("error", replace, { once: true });
}

function missing() {
  const box = document.createElement("span");
  box.className = "no-thumb";
  box.textContent = "no picture";
  return box;
}
