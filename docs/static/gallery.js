// The buttons of the gallery: a card is shown when it has every pressed tag.
document.querySelectorAll(".filters").forEach((group) => {
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    const pressed = [...group.querySelectorAll('[aria-pressed="true"]')].map((one) => one.dataset.tag);
    document.querySelectorAll(".card").forEach((card) => {
      const tags = card.dataset.tags.split(" ");
      card.hidden = !pressed.every((tag) => tags.includes(tag));
    });
  });
});
