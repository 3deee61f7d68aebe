// The times of one image: since it is seen, until it is hidden, until no answer is taken any more.

const TICK = 200; // milliseconds

export class Timing {
  #form;
  #seen = null; // when the image was there, in milliseconds of the page
  #timers = [];

  /** Measure the image of `form`; call `over` when the time for an answer has passed. */
  constructor(form, over) {
    this.#form = form;
    const image = form.querySelector("img");
    if (form.dataset.seconds !== undefined) this.#count_down(Number(form.dataset.seconds), over);
    if (!image) return; // hidden before this page was loaded
    if (image.complete && image.naturalWidth) this.#see(arrival(image));
    else image.addEventListener("load", () => this.#see(performance.now()), { once: true });
    image.addEventListener("error", () => this.#fetch_again(image));
    // it may have failed before this file ran; one that is not wanted yet (on a long page) is not complete
    if (image.complete && !image.naturalWidth) this.#fetch_again(image);
  }

  /** Return the milliseconds since the image was there; undefined if it is not. */
  elapsed() {
    return this.#seen === null ? undefined : Math.max(0, performance.now() - this.#seen);
  }

  /** On a page of images an answer to one begins when the one before has been given. */
  answered() {
    if (this.#seen !== null) this.#seen = performance.now();
  }

  stop() {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    this.#form.querySelector(".countdown")?.remove();
  }

  #see(time) {
    this.#seen = time;
    if (this.#form.dataset.imageSeconds === undefined) return;
    const left = Number(this.#form.dataset.imageSeconds) * 1000 - (performance.now() - time);
    this.#timers.push(setTimeout(() => this.#hide(), Math.max(0, left)));
  }

  #hide() {
    const picture = this.#form.querySelector(".picture");
    picture.classList.add("gone");
    const text = document.createElement("p");
    text.textContent = "The image is hidden now. Answer what you saw.";
    picture.append(text);
  }

  #fetch_again(image) {
    this.#form.querySelector(".state").textContent = "The image does not come: trying again.";
    this.#timers.push(
      setTimeout(() => {
        this.#form.querySelector(".state").textContent = "";
        image.src = image.getAttribute("src");
      }, 2000),
    );
  }

  #count_down(seconds, over) {
    const end = performance.now() + seconds * 1000;
    const text = document.createElement("p");
    text.className = "countdown";
    text.setAttribute("role", "timer");
    this.#form.querySelector(".picture").after(text);
    const show = () => {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      if (text.textContent !== `${left} s left`) text.textContent = `${left} s left`;
      if (performance.now() >= end) over();
    };
    show();
    this.#timers.push(setInterval(show, TICK));
  }
}

/** Return when the image of a page came, by the browser's own record; now if it kept none. */
function arrival(image) {
  return performance.getEntriesByName(image.currentSrc).at(-1)?.responseEnd || performance.now();
}
