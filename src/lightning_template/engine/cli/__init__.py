"""The command line: options, configurations, and the Trainer that is built from them."""
