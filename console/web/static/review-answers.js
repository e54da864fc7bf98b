// The buttons of the answers, and the displayed names of the vehicles.

export const buttons = [...document.querySelectorAll(".answer")];
export const names = Object.fromEntries(
  buttons.filter((button) => button.dataset.vehicle).map((button) => [button.dataset.vehicle, button.dataset.name]),
);
