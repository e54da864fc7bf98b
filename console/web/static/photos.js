// The Photos page: the arrow keys move between photos. No single letter is a key here.

const cards = [...document.querySelectorAll("#photos .card")];

/** How many photos are beside each other. */
function columns() {
  const top = cards[0].getBoundingClientRect().top;
  const below = cards.findIndex((card) => card.getBoundingClientRect().top > top + 1);
  return below === -1 ? cards.length : below;
}

document.getElementById("photos")?.addEventListener("keydown", (event) => {
  const at = cards.indexOf(document.activeElement);
  if (at === -1 || event.ctrlKey || event.metaKey || event.altKey) return;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns(), Home: -at, End: cards.length - 1 - at };
  if (!(event.key in steps)) return;
  const next = cards[at + steps[event.key]];
  event.preventDefault();
  next?.focus();
});
