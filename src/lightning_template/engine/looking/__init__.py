"""Looks at a configuration before it trains: what the network gets, which rate, where the time goes."""
