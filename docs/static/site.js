// What scrolls sideways can be reached with the keyboard.
function reachable() {
  document.querySelectorAll("pre, .picture, .table-wrapper, table.docutils, .card").forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
}
reachable();
addEventListener("resize", reachable);
