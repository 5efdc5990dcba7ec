(() => {
  const { poll, page, expires, continue: detour } = document.querySelector("main").dataset;
  // A teaser may have times and states of its own.
  const paying = document.querySelector(".taler-paywall") || document;
  const status = paying.querySelector("[role=status]");
  const clock = paying.querySelector("time");
  const copy = paying.querySelector("[data-copy]");
  const waiting = status && status.textContent;
  const place = location.hash;
  // Loading counts, too: no quick circles.
  let asked = 0;
  let failures = 0;
  let crowded = false;
  let left = false;
  let request;
  let timer;

  const say = (text) => {
    if (status && status.textContent !== text) status.textContent = text;
  };

  const leave = (url) => {
    clearTimeout(timer);
    left = true;
    // An address that differs by its place alone would not be loaded.
    if (place) history.replaceState(null, "", "?");
    location.replace(url + place);
  };

  const askIn = (pause) => {
    clearTimeout(timer);
    timer = setTimeout(ask, pause);
  };

  const ask = async () => {
    if (left) return;
    const early = asked + 3000 - performance.now();
    if (early > 0) return askIn(early);
    asked = performance.now();
    if (request) request.abort();
    const mine = (request = new AbortController());
    askIn(35000);
    try {
      const options = { headers: { Accept: "application/json" }, signal: mine.signal };
      // Hidden tabs keep no connection: a browser has few of them for one site.
      const answer = await fetch(poll + "&timeout=" + (document.hidden || crowded ? 0 : 20), options);
      if (answer.status === 404) return leave(detour);
      crowded = answer.status === 429;
      if (crowded) {
        say(waiting);
        return askIn(5000 * (1 + Math.random()));
      }
      if (!answer.ok) throw answer;
      const said = await answer.json();
      if (said.paid || said.already_paid_order_id) {
        say(status && status.dataset.paid);
        return leave(page);
      }
      failures = 0;
      say(waiting);
      askIn(document.hidden ? 10000 : 0);
    } catch (failure) {
      if (mine === request) recover(failure);
    }
  };

  const recover = (failure) => {
    const wanted = failure.headers ? Number(failure.headers.get("Retry-After")) : 0;
    const growing = Math.min(60, 3 * 2 ** failures++);
    if (failures > 1) say(status && status.dataset.lost);
    askIn(1000 * Math.max(wanted || 0, growing) * (1 + Math.random() / 4));
  };

  const count = () => {
    const seconds = Math.max(0, expires - Date.now() / 1000);
    // Nobody looks at a hidden tab: no new offer for it. Without a connection the browser would show a page of its own.
    if (!seconds && !document.hidden && navigator.onLine) return leave(page);
    const [unit, size] = seconds > 7200 ? ["hour", 3600] : seconds > 60 ? ["minute", 60] : ["second", 1];
    const amount = size > 1 ? Math.floor(seconds / size) : Math.ceil(seconds / 10) * 10;
    const format = { style: "unit", unit, unitDisplay: "long" };
    clock.textContent = new Intl.NumberFormat(document.documentElement.lang, format).format(amount);
    setTimeout(count, 10000);
  };

  if (poll) {
    ask();
    // Hiding ends the request that waits, too.
    addEventListener("visibilitychange", ask);
    addEventListener("pageshow", (event) => {
      left = left && !event.persisted;
      if (event.persisted) ask();
    });
    addEventListener("online", ask);
    // With a clock that is ahead: no circles either.
    if (clock && expires > Date.now() / 1000) count();
  }

  if (copy) {
    const field = document.getElementById(copy.dataset.copy);
    const told = paying.querySelector("output");
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(field.value);
        told.textContent = told.dataset.copied;
      } catch {
        field.select();
        told.textContent = told.dataset.selected;
      }
    });
  }
})();
