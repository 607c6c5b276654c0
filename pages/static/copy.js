// A button beside every piece of code that copies it. Without this script, or where the browser
// does not let a page write to the clipboard, there is none.
"use strict";

(() => {
  const { copy, copied } = document.body.dataset;
  if (!navigator.clipboard || !copy) return;

  const addTo = (code) => {
    const block = code.parentElement;
    if (block.previousElementSibling?.classList.contains("copy")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain copy";
    button.textContent = copy;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = copied;
      setTimeout(() => { button.textContent = copy; }, 2000);
    });
    block.before(button);
  };

  const addAll = () => document.querySelectorAll("pre > code").forEach(addTo);
  addAll();
  document.addEventListener("htmx:afterSettle", addAll);
})();
