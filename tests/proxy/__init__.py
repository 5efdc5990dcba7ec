"""Behind nginx: the configuration of docs/reverse-proxy.md, run by a real nginx from Debian on loopback."""
