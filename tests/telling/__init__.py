"""What the owner of a site is told: events, log lines, metrics and spans, over real servers."""
