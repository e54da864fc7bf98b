// The photo on the screen: larger, turned, moved. Only the display changes.

const SCALES = [1, 1.5, 2, 3, 4, 6];
const STEP = 0.15; // of the box, for an arrow key

const box = document.getElementById("photo-box");
const image = document.getElementById("photo");
const buttons = Object.fromEntries(["zoom-out", "zoom-in", "rotate"].map((id) => [id, document.getElementById(id)]));
const view = { level: 0, turns: 0, x: 0, y: 0 };
let dragged = null;

/** The scale at which a photo that is turned by a quarter fills the box, relative to the upright one. */
function fit() {
  if (view.turns % 2 === 0 || !image.naturalWidth) return 1;
  const upright = Math.min(box.clientWidth / image.naturalWidth, box.clientHeight / image.naturalHeight);
  return Math.min(box.clientWidth / image.naturalHeight, box.clientHeight / image.naturalWidth) / upright;
}

function apply() {
  const scale = SCALES[view.level];
  const room = (scale - 1) / 2; // how far the photo can be moved, in boxes
  view.x = Math.max(-room, Math.min(room, view.x));
  view.y = Math.max(-room, Math.min(room, view.y));
  image.style.transform =
    `translate(${view.x * 100}%, ${view.y * 100}%) scale(${scale * fit()}) rotate(${view.turns * 90}deg)`;
  box.classList.toggle("zoomed", view.level > 0);
  buttons["zoom-out"].disabled = box.hidden || view.level === 0;
  buttons["zoom-in"].disabled = box.hidden || view.level === SCALES.length - 1;
  buttons.rotate.disabled = box.hidden;
}

/** Show the photo as it is; for a new photo. */
export function reset() {
  Object.assign(view, { level: 0, turns: 0, x: 0, y: 0 });
  apply();
}

function zoom(step) {
  view.level = Math.max(0, Math.min(SCALES.length - 1, view.level + step));
  apply();
}

function rotate() {
  view.turns += 1;
  apply();
}

function move(x, y) {
  view.x += x;
  view.y += y;
  apply();
}

/** Handle a key; true when it was one of these. */
export function handleKey(key) {
  if (box.hidden) return false;
  const arrows = { arrowleft: [STEP, 0], arrowright: [-STEP, 0], arrowup: [0, STEP], arrowdown: [0, -STEP] };
  if (key === "+" || key === "=") zoom(1);
  else if (key === "-") zoom(-1);
  else if (key === "r") rotate();
  else if (view.level > 0 && arrows[key]) move(...arrows[key]);
  else return false;
  return true;
}

buttons["zoom-out"].addEventListener("click", () => zoom(-1));
buttons["zoom-in"].addEventListener("click", () => zoom(1));
buttons.rotate.addEventListener("click", rotate);
image.draggable = false;
image.addEventListener("pointerdown", (event) => {
  if (view.level === 0) return;
  dragged = { x: event.clientX, y: event.clientY };
  image.setPointerCapture(event.pointerId);
});
image.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  move((event.clientX - dragged.x) / box.clientWidth, (event.clientY - dragged.y) / box.clientHeight);
  dragged = { x: event.clientX, y: event.clientY };
});
for (const end of ["pointerup", "pointercancel"]) image.addEventListener(end, () => (dragged = null));
window.addEventListener("resize", apply);
