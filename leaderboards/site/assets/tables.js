// Tables that sort by a click on a heading and show only the rows that hold a text; without this they are plain tables.
for (const table of document.querySelectorAll("table.data")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(table, heading, column));

  });
  if (original.length > 4 && table.dataset.filter !== undefined) addFilter(table, original);
}

function sort(table, heading, column) {
  const was = heading.getAttribute("aria-sort");
  const first = heading.dataset.first || "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const now = was === first ? other : first;
  for (const each of heading.parentNode.cells) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", now);
  const sign = now === "ascending" ? 1 : -1;
  const key = (row) => row.cells[column].dataset.v;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
  });
  table.tBodies[0].append(...rows);
}

function addFilter(table, rows) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  label.className = "filter";
  input.type = "search";
  label.append("Show rows with ", input, " ", count);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += !row.hidden;
    }
    count.textContent = wanted ? `${shown} of ${rows.length}` : "";
  });
  table.closest(".wide").before(label);
}
