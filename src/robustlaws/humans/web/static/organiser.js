// Brings the organiser's page up to date without loading it again, so that the focus and the place stay.

const EVERY = 10; // seconds

async function refresh() {
  const status = document.querySelector(".updated");
  try {
    const response = await fetch("/organiser", { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(9000) });
    if (response.type === "opaqueredirect" || response.status === 403) return ended(status);
    if (!response.ok) return say(status, `The server has a problem (${response.status}): these numbers are old.`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (fresh && fresh.innerHTML !== part.innerHTML) part.innerHTML = fresh.innerHTML;
    }
    say(status, `As of ${new Date().toLocaleTimeString()}`);
  } catch {
    say(status, "The server cannot be reached: these numbers are old.");
  }
}

function say(status, text) {
  status.textContent = text;
}

/** Say that nobody is signed in as the organiser any more, and ask no further. */
function ended(status) {
  clearInterval(timer);
  say(status, "Your session has ended: these numbers are old. ");
  const link = document.createElement("a");
  link.href = "/";
  link.textContent = "Enter your code again";
  status.append(link);
}

const timer = setInterval(refresh, EVERY * 1000);
