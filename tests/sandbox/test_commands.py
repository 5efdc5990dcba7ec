"""The commands of the merchant."""

from __future__ import annotations

from .shop import REFUNDABLE, Process, Shop, command


def test_command_refund(process: Process, shop: Shop) -> None:
    """`sandbox refund` prints the refund URI, or why there is none with status 1."""
    bought = shop.bought(body=REFUNDABLE)
    arguments = ("sandbox", "refund", bought["order_id"], "--url", shop.url, "--amount")
    done = command(*arguments, "KUDOS:0.5", home=process.state_home)
    assert (done.returncode, done.stdout) == (0, f"taler+http://refund/{shop.url[7:]}{bought['order_id']}/\n")
    assert shop.status(bought["order_id"])["refund_amount"] == "KUDOS:0.5"
    for failed in (
        command(*arguments, "KUDOS:9", home=process.state_home),
        command(*arguments, "KUDOS:1", "--token", "wrong", home=process.state_home),
        command(
            "sandbox", "refund", "x", "--amount", "KUDOS:1", "--url", "http://127.0.0.1:1", home=process.state_home
        ),
    ):
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: ")
        assert "Traceback" not in failed.stderr
