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
    for (const element of document.querySelectorAll("[data-key]")) {
      if (element.dataset.key === event.key) {
        event.preventDefault();
        element.click();
        return;
      }
    }
  });
}
