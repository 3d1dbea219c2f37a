// The cohort grid: tool tips, arrow keys from cell to cell, and filters without a reload.
export function grid(box) {
  box.addEventListener("pointerover", (event) => {
    const link = event.target.closest("tbody td a");
    if (!link || link.title) return;
    const row = link.closest("tr");
    const column = box.querySelector("thead tr").cells[link.parentElement.cellIndex];
    link.title = `${row.cells[0].textContent}, ${column.textContent}: ${link.textContent}`;
  });

  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const cell = event.target.closest("tbody td");
    if (!step || !cell) return;
    event.preventDefault();
    const [down, right] = step;
    let row = cell.parentElement;
    let column = cell.cellIndex;
    for (;;) {
      if (down) row = down > 0 ? row.nextElementSibling : row.previousElementSibling;
      column += right;
      const next = row?.cells[column];
      if (!next) return;
      const link = next.querySelector("a");
      if (link && row.offsetParent) return link.focus();
    }
  });

  document.addEventListener("click", (event) => {
    const filter = event.target.closest("#filters [data-show]");
    if (!filter || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    box.dataset.show = filter.dataset.show;
    keep("show", filter.dataset.show);
    mark();
  });
  // A reload, and the way back, show the same.
  function keep(name, value) {
    const here = new URL(location.href);
    if (value) here.searchParams.set(name, value);
    else here.searchParams.delete(name);
    history.replaceState(null, "", here);
    const field = document.querySelector(`#find [type=hidden][name=${name}]`);
    if (field) field.value = value;
  }

  const rows = box.querySelector("#rows");
  const wanted = document.getElementById("find-name");
  const find = (row) => row.classList.toggle("out", !row.cells[0].textContent.toLowerCase().includes(wanted.value.trim().toLowerCase()));
  wanted.addEventListener("input", () => {
    for (const row of rows.rows) find(row);
    keep("name", wanted.value);
  });
  document.getElementById("find-section").addEventListener("change", (event) => event.target.form.requestSubmit());
  // A row that comes anew is hidden like the one before it.
  new MutationObserver((changes) => {
    for (const change of changes) for (const row of change.addedNodes) if (row.cells) find(row);
  }).observe(rows, { childList: true });

  // The filters' counts come anew with every change; the choice is the box's.
  function mark() {
    for (const filter of document.querySelectorAll("#filters [data-show]")) {
      if (filter.dataset.show === box.dataset.show) filter.setAttribute("aria-current", "true");
      else filter.removeAttribute("aria-current");
    }
  }
  new MutationObserver(mark).observe(document.querySelector(".head"), { childList: true });
}
