"""Whether a backtest is luck: search, walk-forward, Monte Carlo, and the verdict from all tries. Pure."""
