"""The watcher of alerts: prices and closed bars in, jobs on `alerts:pending` out."""
