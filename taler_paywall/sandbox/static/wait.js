"use strict";

// Asks the page's own address, as JSON, whether the order is paid or the refund collected, and goes on then.
const kind = document.documentElement.dataset.wait;
const address = new URL(location.href);
address.searchParams.set("timeout_ms", "30000");
if (kind === "refund") address.searchParams.set("await_refund_obtained", "yes");

// A button goes on by itself, and its answer, with the wallet's cookie, must not be cut off by this script.
let isOver = false;
addEventListener("submit", () => { isOver = true; });

function isReady(code, status) {
  if (kind === "refund") return code === 200 && !status.refund_pending;
  return code === 200 || code === 202 || (code === 402 && status.already_paid_order_id);
}

function goOn(status) {
  const target = status.fulfillment_url || "";
  // Without a page to go to, this one says that it is paid.
  if (kind === "payment" && /^https?:/i.test(target)) location.replace(target);
  else location.reload();
}

async function wait() {
  while (!isOver) {
    let pause = 500;
    try {
      const response = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store" });
      const status = await response.json();
      if (isOver) return;
      if (isReady(response.status, status)) return goOn(status);
      if (response.status !== 200 && response.status !== 402) pause = 5000;
    } catch {
      pause = 2000;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

wait();
