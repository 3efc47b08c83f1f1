"""Studies of many runs on Optuna: space, trials, workers and results."""
