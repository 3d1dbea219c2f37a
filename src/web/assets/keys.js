// One key for what is done again and again: an element with data-key is pressed with it.
export function keys() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=radio]), textarea, select, [contenteditable]");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const form = event.target.closest("[data-save]") ?? document.querySelector("[data-save]");
      if (form) {
        event.preventDefault();
        form.requestSubmit();
      }
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key) && score(event.target, event.key)) return event.preventDefault();
    for (const element of document.querySelectorAll("[data-key]")) {
      if (element.dataset.key === event.key) {
        event.preventDefault();
        element.click();
        return;
      }
    }
  });
}

// A digit gives so many points to the line of a rubric where the focus is, or to the first without any.
function score(at, digit) {
  const lines = [...document.querySelectorAll("fieldset.line")];
  const open = (line) => !line.querySelector(":checked");
  const line = at.closest("fieldset.line") ?? lines.find(open) ?? lines[0];
  const choice = line?.querySelector(`[type=radio][value="${digit}"]`);
  if (!choice) return false;
  choice.click();
  // On to the next line that has none yet; the last one keeps the focus.
  const next = lines.slice(lines.indexOf(line) + 1).find(open);
  (next?.querySelector("[type=radio]") ?? choice).focus();
  return true;
}
