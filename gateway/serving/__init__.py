"""The gateway's server: one listening socket, workers that come and go, one port for the figures of all."""
