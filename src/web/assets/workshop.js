// Exercises of a workshop by drag and by keyboard. The form's order is the order of the page, so that
// moving an element is all there is to do; without this, buttons do the same on the server.
export function workshop(form) {
  const unsaved = document.getElementById("unsaved");
  const said = document.getElementById("said");
  let changed = !unsaved.hidden;
  const lists = () => [...form.querySelectorAll(".items")];
  const name = (item) => item.querySelector("strong").textContent;

  function moved(item) {
    changed = true;
    unsaved.hidden = false;
    const list = item.parentElement;
    const part = lists().indexOf(list) + 1;
    const place = [...list.children].indexOf(item) + 1;
    said.textContent = `${name(item)}: section ${part}, place ${place} of ${list.children.length}`;
    // The buttons name places, which are others now.
    lists().forEach((one, section) => {
      [...one.children].forEach((row, index) => {
        for (const button of row.querySelectorAll('button[name="do"]')) {
          button.value = `${button.value.split(":")[0]}:${section}.${index}`;
        }
      });
      const none = one.parentElement.querySelector(".none");
      if (none) none.hidden = one.children.length > 0;
    });
  }

  form.addEventListener("keydown", (event) => {
    const handle = event.target.closest(".handle");
    if (!handle || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const item = handle.closest(".item");
    const list = item.parentElement;
    const all = lists();
    if (event.key === "ArrowUp") {
      if (item.previousElementSibling) item.previousElementSibling.before(item);
      else all[all.indexOf(list) - 1]?.append(item);
    } else if (item.nextElementSibling) {
      item.nextElementSibling.after(item);
    } else {
      all[all.indexOf(list) + 1]?.prepend(item);
    }
    handle.focus();
    moved(item);
  });

  // Pointer events serve mouse, pen and touch alike.
  let dragged = null;
  form.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".handle");
    if (!handle || event.button !== 0) return;
    event.preventDefault();
    dragged = { item: handle.closest(".item"), from: handle.closest(".items"), next: handle.closest(".item").nextElementSibling };
    handle.setPointerCapture(event.pointerId);
    dragged.item.classList.add("dragged");
    handle.focus();
  });
  form.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const under = document.elementFromPoint(event.clientX, event.clientY);
    const over = under?.closest(".item");
    if (over && over !== dragged.item && form.contains(over)) {
      const box = over.getBoundingClientRect();
      if (event.clientY < box.top + box.height / 2) over.before(dragged.item);
      else over.after(dragged.item);
      return;
    }
    const list = under?.closest(".part")?.querySelector(".items");
    if (list && !over && list !== dragged.item.parentElement) list.append(dragged.item);
  });
  const drop = () => {
    if (!dragged) return;
    const { item, from, next } = dragged;
    dragged = null;
    item.classList.remove("dragged");
    if (item.parentElement !== from || item.nextElementSibling !== next) moved(item);
  };
  form.addEventListener("pointerup", drop);
  form.addEventListener("pointercancel", drop);

  form.addEventListener("input", () => { changed = true; unsaved.hidden = false; });
  form.addEventListener("submit", () => { changed = false; });
  addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
}
