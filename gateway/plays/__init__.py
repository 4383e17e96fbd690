"""The demo and the plays: stories run against what `crossdock up` started, each step with its evidence."""
