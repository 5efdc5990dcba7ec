"""What the paywall does to HTTP, the same on both protocols, in this process and under every server."""
