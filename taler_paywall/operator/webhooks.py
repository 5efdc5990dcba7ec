"""The webhooks that tell this site of payments and refunds: put in place at the backend, listed, taken away."""

from __future__ import annotations

from collections.abc import Iterator

from taler_paywall.errors import BackendError, BackendRejected, ConfigError
from taler_paywall.operator.finding import Finding
from taler_paywall.operator.merchant_calls import (
    Webhook,
    delete_webhook,
    get_webhook,
    get_webhooks,
    patch_webhook,
    post_webhook,
)
from taler_paywall.operator.target import Target

#: What the site wants to hear of (merchant API, webhooks).
EVENTS = ("pay", "refund")
#: How the IDs of all our webhooks begin, also those of other sites of the same instance.
OURS = "taler-paywall-"


def url_of(target: Target) -> str:
    """Return where the site's paywall takes webhooks."""
    return f"{target.public_url}{target.settings.prefix}/webhook"


def install(target: Target) -> Iterator[str]:
    """Register the webhooks, or give those that are there their present contents; yield what was done.

    Raises:
        BackendError: the backend did not take one.
        ConfigError: the site has no public URL.
    """
    url = url_of(target)
    known = {webhook.webhook_id for webhook in target.ask(get_webhooks())}
    for event in EVENTS:
        name = _id_of(target, event)
        contents = {
            "event_type": event,
            "url": url,
            "http_method": "POST",
            "header_template": f"Authorization: Bearer {target.keys.webhook_secrets[-1]}\n"
            "Content-Type: application/json",
            "body_template": f'{{"order_id":"{{{{order_id}}}}","event":"{event}"}}',
        }
        target.ask((patch_webhook if name in known else post_webhook)(name, contents))
        yield f"{event}: {'updated' if name in known else 'installed'}, to {url} ({name})"


def installed(target: Target) -> list[Webhook]:
    """Return the webhooks of paywalls at this instance, each with its URL.

    Raises:
        BackendError: the backend could not be asked.
    """
    names = [webhook.webhook_id for webhook in target.ask(get_webhooks()) if webhook.webhook_id.startswith(OURS)]
    found = [(name, target.ask(get_webhook(name))) for name in names]
    return [Webhook(webhook.event_type, name, webhook.url) for name, webhook in found]


def remove(target: Target) -> Iterator[str]:
    """Take this site's webhooks away; yield what was done.

    Raises:
        BackendError: the backend could not be asked.
        ConfigError: the site has no public URL.
    """
    known = {webhook.webhook_id for webhook in target.ask(get_webhooks())}
    for event in EVENTS:
        name = _id_of(target, event)
        if name in known:
            target.ask(delete_webhook(name))
        yield f"{event}: {'removed' if name in known else 'was not installed'} ({name})"


def is_own(target: Target, webhook: Webhook) -> bool:
    """Tell whether a webhook is this site's."""
    return webhook.webhook_id in {_id_of(target, event) for event in EVENTS}


def findings(target: Target) -> Iterator[Finding]:
    """Look whether the webhooks are in place."""
    late = f"a refund then takes effect within {target.settings.recheck_after:g} s"
    try:
        there = {webhook.event_type: webhook.url for webhook in installed(target) if is_own(target, webhook)}
        wanted = dict.fromkeys(EVENTS, url_of(target))
    except ConfigError:
        # Play money at an address that nobody has told.
        return
    except BackendRejected as error:
        yield Finding("warning", "webhook", f"the backend shows none ({error}); {late}", "update the backend")
    except BackendError as error:
        yield Finding("warning", "webhook", f"the backend could not be asked ({error})", "try again")
    else:
        if there == wanted:
            yield Finding("ok", "webhook", f"installed, to {url_of(target)}")
            if target.settings.cache is None:
                text = "with several workers a webhook reaches one of them; the others notice within"
                fix = "with several workers set option cache: redis://…"
                yield Finding("warning", "webhook", f"{text} {target.settings.recheck_after:g} s", fix)
        else:
            text = "is not installed" if not there else "leads elsewhere, or tells of one event alone"
            yield Finding("warning", "webhook", f"{text}; {late}", "run taler-paywall webhooks install")


def _id_of(target: Target, event: str) -> str:
    return f"{OURS}{target.keys.site_tag}-{event}"
