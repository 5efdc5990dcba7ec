"""What clients send: Chromium as it did to a server of ours, the others as their makers and operators document it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_CHROMIUM: Final[dict[str, dict[str, object]]] = json.loads(Path(__file__).with_name("chromium.json").read_text())
_FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
_SAFARI = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_FEED = (
    "application/rss+xml, application/rdf+xml;q=0.8, application/atom+xml;q=0.6, application/xml;q=0.4, text/xml;q=0.4"
)
_NAVIGATION: Final = {
    "sec-fetch-site": "none",
    "sec-fetch-mode": "navigate",
    "sec-fetch-user": "?1",
    "sec-fetch-dest": "document",
}
_MACINTOSH = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_ANDROID = (
    "Mozilla/5.0 (Linux; Android {}) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/{} Mobile Safari/537.36"
)


@dataclass(frozen=True)
class Client:
    """One way to ask for a page.

    Args:
        name: for the tests' names.
        headers: that it sends; ``{site}`` stands for the site's own origin.
        method: its method.
    """

    name: str
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"

    def __str__(self) -> str:
        return self.name

    def sends(self, site: str) -> dict[str, str]:
        """Return its headers at a site."""
        return {name: value.replace("{site}", site) for name, value in self.headers.items()}


def _chromium(*names: str) -> list[Client]:
    found = []
    for name in names:
        sent = _CHROMIUM[name]
        assert isinstance(sent["headers"], dict)
        found.append(Client(f"Chromium: {name}", sent["headers"], str(sent["method"])))
    return found


def _called(accept: str, agents: dict[str, str], **further: str) -> list[Client]:
    more = {name.replace("_", "-"): value for name, value in further.items()}
    return [Client(name, {"user-agent": agent, "accept": accept} | more) for name, agent in agents.items()]


#: People: a GET is shown to somebody who may pay.
PEOPLE: Final = [
    *_chromium(
        *("typed address", "link of the site", "link of the same site", "link of another site"),
        *("link into a new tab", "form that asks", "location.replace", "phone"),
        "navigation through a service worker",
    ),
    *[
        Client(client.name, client.headers | _NAVIGATION)
        for client in [
            *_called(
                _FIREFOX,
                {
                    "Firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                    "Firefox on Android": "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
                },
            ),
            *_called(
                _SAFARI,
                {
                    "Safari 18": f"{_MACINTOSH} Version/18.5 Safari/605.1.15",
                    "Safari 18 on iOS": f"{_IPHONE.format('18_5')} Version/18.5 Mobile/15E148 Safari/604.1",
                },
            ),
        ]
    ],
    # These say nothing of what they are going to do with the answer.
    *_called(
        _SAFARI,
        {
            "Safari 15": f"{_MACINTOSH} Version/15.6 Safari/605.1.15",
            "Safari 15 on iOS": f"{_IPHONE.format('15_8')} Version/15.6.7 Mobile/15E148 Safari/604.1",
            "Facebook's browser on iOS": f"{_IPHONE.format('16_1')} Mobile/15E148 [FBAN/FBIOS;FBAV/430.0.0.27.113]",
            "Instagram's browser on iOS": f"{_IPHONE.format('16_0')} Mobile/15E148 Instagram 271.1.1.12.106",
            "Pinterest's browser on iOS": f"{_IPHONE.format('15_5')} Mobile/15E148 [Pinterest/iOS]",
            "Pinterest's browser on Android": f"{_ANDROID.format('11; SM-A515F', '90.0.4430.210')} [Pinterest/Android]",
            "a web view of Android 4": "Mozilla/5.0 (Linux; U; Android 4.0.3; de-de; GT-I9100 Build/IML74K) "
            "AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
            "a web view of Android 8": _ANDROID.format("8.0.0; SM-G930F; wv", "68.0.3440.91"),
            "CUBOT X19": _ANDROID.format("9; CUBOT X19", "86.0.4240.99"),
            "CUBOT X19 with its build": _ANDROID.format("9; CUBOT X19 Build/PPR1.180610.011", "86.0.4240.99"),
            "CUBOT_P20": _ANDROID.format("8.0.0; CUBOT_P20 Build/O00623", "68.0.3440.91"),
            "Cubot": _ANDROID.format("6.0; CUBOT", "60.0.3112.116"),
            "a robotic vacuum cleaner's display": _ANDROID.format("10; Robotics RX-5", "86.0.4240.99"),
            "Abbott's tablet": _ANDROID.format("11; Abbott T5", "90.0.4430.210"),
        },
    ),
    *_called(
        "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01",
        {"Lynx": "Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.8"},
    ),
    *_called("text/html, text/*;q=0.5, image/*", {"w3m": "w3m/0.5.3+git20230121"}),
    *_called("text/html,application/xhtml+xml;q=0.9,*/*;q=0.1", {"Links in graphics": "Links (2.29; Linux x86_64; x)"}),
]

#: Programs that may know how to pay, and browsers that take whatever comes: an order, with what they take.
PROGRAMS: Final = [
    *_called(
        "*/*",
        {
            "curl": "curl/8.14.1",
            "wget": "Wget/1.25.0",
            "HTTPie": "HTTPie/3.2.4",
            "requests": "python-requests/2.32.5",
            "httpx": "python-httpx/0.28.1",
            "ELinks": "ELinks/0.13.2 (textmode; Linux; 80x24-2)",
            "Links": "Links (2.29; Linux 6.1.0 x86_64; GNU C 12.2; text)",
            "a client library of Google's": "Google-HTTP-Java-Client/1.43.3 (gzip)",
        },
    ),
    Client("Go", {"user-agent": "Go-http-client/1.1"}),
    Client("nobody"),
    Client("a program that posts", {"user-agent": "curl/8.14.1", "accept": "*/*"}, "POST"),
    *_called("application/json, */*;q=0.5", {"HTTPie with JSON": "HTTPie/3.2.4"}),
    *_called("application/json, text/plain, */*", {"axios": "axios/1.9.0"}),
    *_chromium("form that sends", "form of another site"),
]

_HTMX: Final = _NAVIGATION | {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
#: Scripts of the site: an order, and JSON whatever they accept.
SCRIPTS: Final = [
    *_chromium(
        *("fetch", "fetch with credentials", "fetch of a page", "fetch without CORS", "fetch that puts"),
        *("fetch that posts", "XMLHttpRequest", "EventSource", "beacon", "fetch of a worker"),
    ),
    Client("htmx", _HTMX | {"hx-request": "true", "accept": "*/*"}),
    Client("htmx, boosted", _HTMX | {"hx-request": "true", "hx-boosted": "true", "accept": "text/html, */*"}),
    Client("htmx in Safari 15", {"hx-request": "true", "accept": "text/html, */*"}),
    Client("jQuery in Safari 15", {"x-requested-with": "XMLHttpRequest", "accept": "*/*"}),
    Client(
        "fetch of an app of the same site",
        _HTMX | {"sec-fetch-site": "same-site", "origin": "https://app.example", "accept": "*/*"},
    ),
]

#: Who only looks, in the site's own browser or in another site's page: no order.
ONLOOKERS: Final = [
    *_chromium(
        *("fetch of the head", "WebSocket", "picture", "script", "style sheet", "frame", "object", "embedded object"),
        *("video", "audio", "font", "preload", "prefetch"),
        *("fetch of the same site", "preflight of the same site", "frame of the same site"),
        *("fetch of another site", "fetch of another site with credentials", "fetch of another site without CORS"),
        *("fetch of another site that posts", "preflight of another site", "XMLHttpRequest of another site"),
        *("EventSource of another site", "beacon of another site", "picture in another site", "frame in another site"),
        "prefetch of another site",
    ),
    Client("a prerendered page", _NAVIGATION | {"accept": _FIREFOX, "sec-purpose": "prefetch;prerender"}),
    Client("a prefetched page of old", {"accept": _SAFARI, "purpose": "prefetch"}),
    Client("a prefetched page of Firefox 100", {"accept": _FIREFOX, "x-moz": "prefetch"}),
    Client("a preview of Safari's", {"accept": _SAFARI, "x-purpose": "preview"}),
    Client("curl for the head", {"user-agent": "curl/8.14.1", "accept": "*/*"}, "HEAD"),
    Client("curl for the options", {"user-agent": "curl/8.14.1", "accept": "*/*"}, "OPTIONS"),
]

_LIKE_GECKO = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; "
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Safari/537.36"
#: Who makes previews of links: no order, nor for the rest.
PREVIEWS: Final = _called(
    "*/*",
    {
        "Slack": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Slack's pictures": "Slack-ImgProxy (+https://api.slack.com/robots)",
        "Twitter": "Twitterbot/1.0",
        "Facebook": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "WhatsApp": "WhatsApp/2.23.20.0 A",
        "Signal": "WhatsApp/2",
        "Telegram": "TelegramBot (like TwitterBot)",
        "Discord": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "LinkedIn": "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
        "Skype and Teams": "Mozilla/5.0 (Windows NT 6.1) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
        "Mastodon 4.3": "Mastodon/4.3.1 (http.rb/5.2.0; +https://social.example/) Bot",
        "Mastodon 4.1": "http.rb/5.1.1 (Mastodon/4.1.2; +https://social.example/)",
        "Mastodon 4.3 without Bot": "Mastodon/4.3.1 (http.rb/5.2.0; +https://social.example/)",
        "Akkoma": "Akkoma 3.10.4; https://social.example <root@social.example>",
        "iMessage": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) "
        "Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "Google's preview": f"Mozilla/5.0 (X11; Linux x86_64) {_CHROME.format('41.0.2272.118')} Google Web Preview",
        "Google's renderer": "Mozilla/5.0 (compatible; Google-PageRenderer Google (+https://developers.google.com/))",
        "Bing's preview": "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b",
        "Iframely": "Iframely/1.3.1 (+https://iframely.com/docs/about)",
        "Embedly": "Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)",
        "Reddit": "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)",
        "Pinterest": "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
        "Pinterestbot": "Mozilla/5.0 (compatible; Pinterestbot/1.0; +https://www.pinterest.com/bot.html)",
        "Matrix": "Synapse (bot; +https://github.com/matrix-org/synapse)",
        "Matrix of old": "Synapse/1.9.0",
        "VK": "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)",
    },
)

_PHONE = f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) {_CHROME.format('139.0.0.0 Mobile')}"
CRAWLERS: Final = _called(
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    {
        "Googlebot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Googlebot's desktop": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; "
        "+http://www.google.com/bot.html) Chrome/139.0.0.0 Safari/537.36",
        "Googlebot's phone": f"{_PHONE} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "GoogleOther": f"{_PHONE} (compatible; GoogleOther)",
        "Google's inspection": f"{_PHONE} (compatible; Google-InspectionTool/1.0)",
        "AdSense": "Mediapartners-Google",
        "Bing": f"Mozilla/5.0 {_CHROME.format('116')} (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "DuckDuckGo": "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
        "Apple": f"Mozilla/5.0 {_CHROME.format('117')} (Applebot/0.1; +http://www.apple.com/go/applebot)",
        "Yandex": "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Baidu": "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        "Petal": "Mozilla/5.0 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
        "Ahrefs": "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "Semrush": "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
        "YaCy": "yacybot (/global; amd64 Linux 6.1.0; java 17; Europe/en) http://yacy.net/bot.html",
        "Yahoo": "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "Alexa": "ia_archiver (+http://www.alexa.com/site/help/webmasters; crawler@alexa.com)",
        "archive.org": "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
        "Amazon": f"Mozilla/5.0 {_CHROME.format('119')} (Amazonbot/0.1; +https://developer.amazon.com/amazonbot)",
        "Lighthouse": f"Mozilla/5.0 (X11; Linux x86_64) {_CHROME.format('139.0.0.0')} Chrome-Lighthouse",
    },
) + _called(
    "*/*",
    {
        "GPTBot": f"{_LIKE_GECKO}GPTBot/1.2; +https://openai.com/gptbot)",
        "ChatGPT": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; "
        "+https://openai.com/bot",
        "OpenAI's search": "OAI-SearchBot/1.0; +https://openai.com/searchbot",
        "ClaudeBot": f"{_LIKE_GECKO}ClaudeBot/1.0; +claudebot@anthropic.com)",
        "Claude": "Mozilla/5.0 (compatible; Claude-User/1.0; +Claude-User@anthropic.com)",
        "Perplexity": f"{_LIKE_GECKO}PerplexityBot/1.0; +https://perplexity.ai/perplexitybot)",
        "Common Crawl": "CCBot/2.0 (https://commoncrawl.org/faq/)",
        "ByteDance": "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (compatible; Bytespider; "
        "spider-feedback@bytedance.com)",
        "Meta": "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    },
)

FEED_READERS: Final = _called(
    _FEED,
    {
        "Feedly": "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 12 subscribers; like FeedFetcher-Google)",
        "Google's fetcher": "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
        "NewsBlur": "NewsBlur Feed Fetcher - 12 subscribers - http://www.newsblur.com/site/1/ (Mozilla/5.0)",
        "NewsBlur's page": "NewsBlur Page Fetcher - 12 subscribers - http://www.newsblur.com/site/1/",
        "Inoreader": "Mozilla/5.0 (compatible; inoreader.com/feed-fetcher; 12 subscribers)",
        "Feedbin": "Feedbin feed-id:1373711 - 142 subscribers",
        "NetNewsWire": "NetNewsWire (RSS Reader; https://netnewswire.com/)",
        "Tiny Tiny RSS": "Tiny Tiny RSS/24.03-abcdef (https://tt-rss.org/)",
        "Miniflux": "Mozilla/5.0 (compatible; Miniflux/2.2.0; +https://miniflux.app)",
        "FreshRSS": "FreshRSS/1.24.1 (Linux; https://freshrss.org)",
    },
) + _called(
    _FEED,
    {"Thunderbird": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0"},
    sec_fetch_site="cross-site",
    sec_fetch_mode="no-cors",
    sec_fetch_dest="empty",
)

MONITORS: Final = _called(
    "*/*",
    {
        "UptimeRobot": "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "Pingdom": "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
        "StatusCake": f"Mozilla/5.0 (Windows NT 6.2; WOW64) {_CHROME.format('98')} StatusCake",
        "Better Uptime": f"Better Uptime Bot Mozilla/5.0 (Macintosh) {_CHROME.format('90')}",
    },
)

ROBOTS: Final = [*PREVIEWS, *CRAWLERS, *FEED_READERS, *MONITORS]
BUYERS: Final = [*PEOPLE, *PROGRAMS, *SCRIPTS]
EVERYBODY: Final = [*BUYERS, *ONLOOKERS, *ROBOTS]
