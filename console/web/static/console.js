// For every page: requests with the CSRF token, durations, the banner, the strip, the reviewer name.

const token = document.querySelector('meta[name="csrf-token"]').content;

export class ResponseError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** POST JSON or a Blob; resolves to the JSON of the response. Throws ResponseError for a status of 4xx or 5xx, TypeError when the console cannot be reached. */
export async function post(address, body, options = {}) {
  const raw = body instanceof Blob;
  const response = await fetch(address, {
    method: "POST",
    headers: { "X-CSRF-Token": token, ...(raw ? {} : { "Content-Type": "application/json" }) },
    body: raw ? body : JSON.stringify(body),
    ...options,
  });
  return read(response);
}

export async function get(address) {
  return read(await fetch(address));
}

async function read(response) {
  const text = await response.text();
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    // A load balancer answers 401 with a page of its own when the sign-in has ended.
    body = { detail: response.status === 401 ? "Your sign-in has ended. Reload the page to sign in again." : text };
  }
  if (!response.ok) {
    const detail = typeof body.detail === "string" ? body.detail : "The console refused the request as invalid.";
    throw new ResponseError(detail, response.status);
  }
  return body;
}

export function banner(text) {
  const box = document.getElementById("banner");
  if (box.textContent !== text) box.textContent = text;
  box.hidden = !text;
}

/** A duration in whole seconds, such as "5 min 10 s". */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  if (!minutes) return `${whole} s`;
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const STRIP_MS = 15_000;
const MARK = "Act now · "; // in the title, for who has another tab open
const strip = document.getElementById("strip");

/** Show what is wrong in the stage at the top of the page; an unreachable console changes nothing. */
async function refreshStrip() {
  if (document.hidden) return;
  let state;
  try {
    state = await get("/api/now");
  } catch (error) {
    if (error instanceof ResponseError && error.status === 401) banner(error.message);
    if (error instanceof TypeError || error instanceof ResponseError) return;
    throw error;
  }
  const text = document.getElementById("strip-text");
  if (text.textContent !== state.text) text.textContent = state.text;
  const title = document.title.replace(MARK, "");
  document.title = state.text ? title.replace(/^(PROD · )?/, `$1${MARK}`) : title;
  document.getElementById("now-link").classList.toggle("wrong", Boolean(state.text));
  document.getElementById("now-word").textContent = state.text ? ", act now" : "";
  strip.hidden = !state.text || document.body.classList.contains("page-now");
}

refreshStrip();
setInterval(refreshStrip, STRIP_MS);

const dialog = document.getElementById("rename");
if (dialog) allowRenaming();

function allowRenaming() {
  const name = document.getElementById("rename-name");
  document.getElementById("reviewer").addEventListener("click", () => {
    document.getElementById("rename-problem").textContent = "";
    dialog.showModal();
    name.select();
  });
  document.getElementById("rename-cancel").addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const { reviewer } = await post("/api/reviewer", { name: name.value });
      document.getElementById("reviewer-name").textContent = reviewer;
      dialog.close();
    } catch (error) {
      document.getElementById("rename-problem").textContent = error.message;
    }
  });
}

for (const image of document.querySelectorAll("img.thumb, img.whole")) {
  const replace = () => image.replaceWith(placeholder());
  if (image.complete && image.naturalWidth === 0 && image.loading !== "lazy") replace();
  else image.addEventListener("error", replace, { once: true });
}

function placeholder() {
  const box = document.createElement("span");
  box.className = "no-thumb";
  box.textContent = "No image";
  return box;
}
