"""What an independent clock saw: the most arrivals in any span of time."""


def most_in_any_window(arrivals, seconds):
    """The largest number of `arrivals` (instants in seconds) that lie less than `seconds` from each other."""
    arrivals, first, most = sorted(arrivals), 0, 0
    for last, arrival in enumerate(arrivals):
        while arrival - arrivals[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
