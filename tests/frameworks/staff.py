"""Lets staff in: run with the block of docs/frameworks.md about `exempt` in front of it."""

from __future__ import annotations

from flask import Flask, session

from taler_paywall import payment_from


def let_staff_in(app: Flask) -> None:
    """Require that the session decides who reads for nothing, and that what they get is private."""

    def log_in() -> str:
        session["staff"] = True
        return "logged in"

    def article(slug: str) -> str:
        from flask import request

        return f"All about {slug}, payment: {payment_from(request.environ)}"

    app.add_url_rule("/login", view_func=log_in)
    app.add_url_rule("/articles/<slug>", view_func=article)
    editor, reader = app.test_client(), app.test_client()
    assert editor.head("/articles/bees").status_code == 402
    assert editor.get("/login").text == "logged in"
    read = editor.get("/articles/bees")
    assert (read.status_code, read.text) == (200, "All about bees, payment: None")
    assert "private" in read.headers["Cache-Control"]
    cookie = editor.get_cookie("session")
    assert cookie
    for forged in ("nonsense", cookie.value[:-4], "e30." + cookie.value.partition(".")[2]):
        reader.set_cookie("session", forged)
        assert reader.head("/articles/bees").status_code == 402, forged
