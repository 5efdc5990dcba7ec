"""The paywall in every framework: the examples as they stand, under the servers that people use."""
