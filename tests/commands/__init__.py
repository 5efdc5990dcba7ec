"""What the operator of a site has: a configuration file, and commands that look, explain, list and put in place."""
