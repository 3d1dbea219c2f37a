// Times in the reader's zone, and "2 min ago" that stays true while a page is open.
const DAY = 86400000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

function moment(at, now) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const days = Math.floor((midnight - new Date(at).setHours(0, 0, 0, 0)) / DAY + 0.5);
  if (days === 0) return `today ${clock.format(at)}`;
  if (days === 1) return `yesterday ${clock.format(at)}`;
  return `${date.format(at)}, ${clock.format(at)}`;
}

// The same words as the server's.
function ago(at, now) {
  const minutes = Math.max(0, Math.floor((now - at) / 60000));
  if (minutes === 0) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ago`;
  const days = Math.floor(minutes / 1440);
  return days === 1 ? "1 day ago" : `${days} days ago`;
}

// Counted up, so that nobody comes back a moment too early.
function until(at, now) {
  const minutes = Math.ceil((at - now) / 60000);
  if (minutes <= 0) return "now";
  if (minutes < 60) return `in ${minutes} min`;
  if (minutes < 1440) return `in ${Math.floor((minutes + 30) / 60)} h`;
  const days = Math.floor((minutes + 720) / 1440);
  return days === 1 ? "in 1 day" : `in ${days} days`;
}

export function timesIn(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[datetime]:not(#countdown)")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const text = time.classList.contains("ago") ? ago(at, now) : time.classList.contains("until") ? until(at, now) : moment(at, now);
    if (time.textContent !== text) time.textContent = text;
    time.title = exact.format(at);
  }
}

export function times() {
  timesIn(document);
  setInterval(() => timesIn(document), 30000);
}
