// The Upload page: uploads photos and polls the progress of each until its decision.

import { get, post } from "./console.js";

const POLL_MS = 700;
const DONE = new Set(["routed", "rejected"]);
const MAX_PARALLEL = 3;

const drop = document.getElementById("drop");
const list = document.getElementById("uploads");
const template = document.getElementById("upload");
const waiting = [];
let uploading = 0;

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});
document.getElementById("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});

function add(files) {
  for (const file of files) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector(".upload-name").textContent = file.name;
    const image = row.querySelector("img");
    image.src = URL.createObjectURL(file);
    image.onload = () => URL.revokeObjectURL(image.src);
    image.onerror = () => {
      image.onerror = null;
      image.src = "/static/empty.svg";
      image.classList.add("broken");
    };
    list.prepend(row);
    waiting.push({ file, row });
  }
  next();
}

async function next() {
  if (uploading >= MAX_PARALLEL || !waiting.length) return;
  uploading += 1;
  const { file, row } = waiting.shift();
  const driver = document.getElementById("driver").value;
  try {
    const { photo_id } = await post(`/api/uploads?${new URLSearchParams({ driver, name: file.name })}`, file);
    follow(photo_id, row);
  } catch (error) {
    result(row, error instanceof TypeError ? "The console cannot be reached. Upload the photo again." : error.message, "failed");
  }
  uploading -= 1;
  next();
}

async function follow(photoId, row) {
  let progress;
  try {
    progress = await get(`/api/uploads/${photoId}`);
  } catch (error) {
    if (!(error instanceof TypeError)) {
      result(row, error.message, "failed");
      return;
    }
  }
  if (progress) {
    states(row, progress);
    result(row, describe(progress), progress.status, DONE.has(progress.status) && photoId);
    if (DONE.has(progress.status)) return;
  }
  setTimeout(() => follow(photoId, row), POLL_MS);
}

function states(row, { steps, status }) {
  row.querySelector(".states").replaceChildren(
    ...steps.map((step, index) => {
      const item = document.createElement("li");
      item.textContent = step.state;
      const last = index === steps.length - 1;
      item.className = step.error ? "failed" : last && !DONE.has(status) ? "current" : "passed";
      if (step.error) item.title = step.error;
      return item;
    }),
  );
}

function describe({ status, loading_bay, vehicle, decided_by, confidence, reason, message }) {
  if (status === "routed") {
    if (decided_by === "timed out") return `${loading_bay}: the review timed out`;
    const score = confidence === null ? "" : ` (${confidence.toFixed(2)})`;
    return `${loading_bay}: ${vehicle ?? "unknown"}${score}, decided by ${decided_by}`;
  }
  if (status === "rejected") return `Rejected, ${reason}: ${message}`;
  if (status === "in_review") return `In review (${reason})`;
  if (status === "unrouted") return `Not routed, ${reason}: ${message}`;
  return status === "starting" ? "Waiting for the execution to start…" : "Running…";
}

function result(row, text, status, link) {
  const box = row.querySelector(".upload-result");
  row.dataset.status = status;
  box.classList.toggle("quiet", !DONE.has(status) && status !== "failed");
  if (box.textContent === text) return;
  if (!link) {
    box.textContent = text;
    return;
  }
  const anchor = document.createElement("a");
  anchor.href = `/photos/${link}`;
  anchor.textContent = text;
  box.replaceChildren(anchor);
}
