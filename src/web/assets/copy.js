// Copy buttons: beside commands, on code in statements, and for the whole log.
async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without https the clipboard is closed to pages: select the text instead.
    button.textContent = select(button) ? "Press Ctrl+C" : "Not allowed";
  }
  setTimeout(() => { button.textContent = label; }, 1600);
}

function target(button) {
  return button.dataset.copies
    ? document.getElementById(button.dataset.copies)
    : button.parentElement.querySelector("code");
}

function select(button) {
  const element = target(button);
  if (!element) return false;
  getSelection().selectAllChildren(element);
  return true;
}

export function copying() {
  for (const pre of document.querySelectorAll(".prose pre")) {
    const block = document.createElement("div");
    const button = document.createElement("button");
    block.className = "block";
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy this code");
    pre.replaceWith(block);
    block.append(pre, button);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copy, [data-copies]");
    const from = button && target(button);
    if (!from) return;
    // Log lines are paragraphs; without a line end each they would run together.
    const lines = from.id === "log" ? [...from.children].map((line) => line.textContent).join("\n") : from.textContent;
    copy(lines.trim(), button);
  });
}
