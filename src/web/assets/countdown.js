// How long there is left, to the second; what is announced to screen readers changes by the minute.
export function countdown(element) {
  const end = Date.parse(element.dateTime);
  const pad = (number) => String(number).padStart(2, "0");
  element.setAttribute("aria-live", "off");
  const tick = () => {
    const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    element.textContent = (hours ? `${hours}:${pad(minutes)}` : minutes) + `:${pad(seconds % 60)}`;
    element.classList.toggle("is-failed", seconds === 0);
    element.classList.toggle("is-waiting", seconds > 0 && seconds <= 300);
    if (seconds === 0) element.textContent = "Time is up";
    else setTimeout(tick, 1000 - (Date.now() % 1000));
  };
  tick();
}
