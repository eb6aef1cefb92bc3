
(function () {
  "use strict";

  // Filters the table of packages: rows with every word that is typed.
  const filter = document.getElementById("filter");
  const field = document.getElementById("filter-text");
  const count = document.getElementById("filter-count");
  const rows = Array.from(document.querySelectorAll("#package-table tbody tr"));
  const texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
  function apply() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach(function (row, index) {
      row.hidden = !words.every(function (word) { return texts[index].includes(word); });
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = shown + " of " + rows.length;
  }
  field.addEventListener("input", apply);
  filter.hidden = false;
  apply();

  // Who has no pointer scrolls what has the focus: tables that are wider than the screen, and no others.
  function reach(scroll) {
    const wide = scroll.scrollWidth > scroll.clientWidth;
    const names = { tabindex: "0", role: "group", "aria-label": scroll.querySelector("caption").textContent };
    Object.entries(names).forEach(function (pair) {
      if (wide) { scroll.setAttribute(pair[0], pair[1]); } else { scroll.removeAttribute(pair[0]); }
    });
  }
  const sizes = new ResizeObserver(function (entries) {
    entries.forEach(function (entry) { reach(entry.target); });
  });
  document.querySelectorAll(".scroll").forEach(function (scroll) { sizes.observe(scroll); });
})();
