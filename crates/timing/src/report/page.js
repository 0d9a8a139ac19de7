"use strict";
// Filters, sorting and the switch of colours. Every number stands in the page already; nothing is computed here.
(() => {
  const at = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const data = JSON.parse(at("data").textContent);
  const filters = at("filters");

  // Colours: the system's choice, unless one was made here. A page without storage forgets it.
  const theme = at("theme");
  const stored = (write) => { try { return write(localStorage); } catch { return null; } };
  const paint = (choice) => {
    if (choice) document.documentElement.dataset.theme = choice;
    else delete document.documentElement.dataset.theme;
  };
  theme.value = stored((kept) => kept.getItem("larder-theme")) || "";
  paint(theme.value);
  theme.addEventListener("change", () => {
    paint(theme.value);
    stored((kept) => kept.setItem("larder-theme", theme.value));
  });

  // A task matches when it holds every word of the text, whatever its case, and is in the chosen state.
  const matches = (name, state) => {
    const words = at("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = at("state").value;
    const low = name.toLowerCase();
    return words.every((word) => low.includes(word)) && (!wanted || state === undefined || state === wanted);
  };

  const dim = (selector, shown) => {
    for (const bar of all(`${selector} [data-at]`)) bar.classList.toggle("dim", !shown[Number(bar.dataset.at)]);
  };

  const apply = () => {
    const runs = Number(at("window").value);
    for (const part of all("[data-window]")) part.hidden = Number(part.dataset.window) !== runs;
    for (const row of all("tr[data-age]")) row.hidden = Number(row.dataset.age) >= runs;
    for (const row of all("tr[data-task]")) row.hidden = !matches(row.dataset.task, row.dataset.state);
    for (const table of all("table")) {
      const none = table.parentElement.nextElementSibling;
      none.hidden = all("tbody tr", table).some((row) => !row.hidden);
    }
    const tasks = data.last ? data.last.tasks : [];
    const rows = all("#timeline tr[data-task]");
    const states = new Map(rows.map((row) => [row.dataset.task, row.dataset.state]));
    const shown = tasks.map((task) => matches(task.task, states.get(task.task)));
    dim(".timeline", shown);
    dim(".slow", data.slowest.map((task) => matches(task.task)));
    const count = rows.filter((row) => !row.hidden).length;
    at("found").textContent = `${count} of ${rows.length} tasks of the last run match.`;
  };

  // Sorting: the first press sorts numbers from the greatest and texts from the first, the next the other way round.
  const sort = (head) => {
    const row = head.parentElement;
    const column = [...row.children].indexOf(head);
    const body = head.closest("table").tBodies[0];
    const number = head.classList.contains("number");
    const first = number ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? (number ? "ascending" : "descending") : first;
    for (const other of row.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const key = (line) => line.children[column].dataset.sort;
    const compare = number ? (a, b) => Number(key(a)) - Number(key(b)) : (a, b) => key(a).localeCompare(key(b));
    const sign = order === "ascending" ? 1 : -1;
    body.append(...[...body.rows].sort((a, b) => sign * compare(a, b)));
  };

  for (const button of all(".sort")) button.addEventListener("click", () => sort(button.closest("th")));
  // Lists of choices tell of a change; texts of each sign.
  for (const kind of ["input", "change"]) filters.addEventListener(kind, apply);
  filters.addEventListener("submit", (event) => event.preventDefault());
  at("clear").addEventListener("click", () => {
    filters.reset();
    apply();
  });
  filters.hidden = false;
  theme.parentElement.hidden = false;
  apply();
})();
