// Brings the organiser's page up to date without loading it again, so that the focus and the place stay.

const EVERY = 10; // seconds

async function refresh() {
  const status = document.querySelector(".updated");
  try {
    const response = await fetch("/organiser", { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(9000) });
    if (!response.ok) throw new Error(response.statusText);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (fresh && fresh.innerHTML !== part.innerHTML) part.innerHTML = fresh.innerHTML;
    }
    status.textContent = `As of ${new Date().toLocaleTimeString()}`;
  } catch {
    status.textContent = "The server cannot be reached: these numbers are old.";
  }
}

setInterval(refresh, EVERY * 1000);
