/* What the style sheet alone cannot do: a print is light and shows what is folded, and a formula that scrolls can be
   reached by keyboard. */

(() => {
  "use strict";

  let before = null; // what the page was like before the print; null while none is made

  const beginPrint = () => {
    if (before) return;
    const page = document.documentElement;
    const folded = [...document.querySelectorAll(".bd-article details:not([open])")];
    before = {theme: page.dataset.theme, folded};
    page.dataset.theme = "light";
    folded.forEach((one) => (one.open = true));
  };

  const endPrint = () => {
    if (!before) return;
    if (before.theme) document.documentElement.dataset.theme = before.theme;
    before.folded.forEach((one) => (one.open = false));
    before = null;
  };

  // Browsers tell of a print in one of two ways, or in both.
  window.addEventListener("beforeprint", beginPrint);
  window.addEventListener("afterprint", endPrint);
  window.matchMedia("print").addEventListener("change", (media) => (media.matches ? beginPrint() : endPrint()));

  const update = (box) => {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
    if (scrolls === box.hasAttribute("tabindex")) return;
    if (scrolls) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "wide formula");
    } else {
      ["tabindex", "role", "aria-label"].forEach((name) => box.removeAttribute(name));
    }
  };

  // A box that is shown, unfolded or given another width is looked at again.
  const watch = () => {
    const observer = new ResizeObserver((entries) => entries.forEach((entry) => update(entry.target)));
    document.querySelectorAll(".bd-article div.math, .bd-article div.math mjx-container").forEach((box) => {
      observer.observe(box);
    });
  };
  window.addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(watch));
})();
