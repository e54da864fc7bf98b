// The Photos page: the arrow keys move between photos, and a search goes on by itself until the page is full. No single
// letter is a key here.

const place = (id) => document.getElementById(id);
const photos = place("photos");
const pages = place("pages");
const cards = () => [...photos.querySelectorAll(".card")];

/** How many photos are beside each other. */
function columns(all) {
  const top = all[0].getBoundingClientRect().top;
  const below = all.findIndex((card) => card.getBoundingClientRect().top > top + 1);
  return below === -1 ? all.length : below;
}

photos.addEventListener("keydown", (event) => {
  const all = cards();
  const at = all.indexOf(document.activeElement);
  if (at === -1 || event.ctrlKey || event.metaKey || event.altKey) return;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(all), ArrowUp: -columns(all), Home: -at, End: all.length - 1 - at };
  if (!(event.key in steps)) return;
  const next = all[at + steps[event.key]];
  event.preventDefault();
  next?.focus();
});

let stopped = false;
place("stop").addEventListener("click", () => { stopped = true; });

/** Search on from where the console stopped, until the page is full, no older photos are left, or a person stops it. */
async function searchOn() {
  while (!stopped && pages.dataset.searching && cards().length < Number(pages.dataset.size)) {
    const left = Number(pages.dataset.size) - cards().length;
    const response = await fetch(`${place("older").getAttribute("href")}&size=${left}`);
    if (!response.ok) throw new Error(`the console answered ${response.status}, so the search has stopped`);
    const found = new DOMParser().parseFromString(await response.text(), "text/html");
    photos.append(...found.querySelectorAll("#photos > li"));
    for (const id of ["older-place", "rest", "none-text"]) place(id).replaceChildren(...found.getElementById(id).childNodes);
    const number = cards().length;
    place("count").textContent = `${number} photo${number === 1 ? "" : "s"}`;
    place("none").hidden = number > 0;
    pages.dataset.searching = found.getElementById("pages").dataset.searching;
  }
}

if (pages.dataset.searching) {
  place("stop").hidden = false;
  place("older-place").hidden = true;
  try {
    await searchOn();
  } catch (error) {
    place("rest").textContent = `; ${error instanceof TypeError ? "the console cannot be reached, so the search has stopped" : error.message}`;
  }
  place("stop").hidden = true;
  place("older-place").hidden = false;
}
