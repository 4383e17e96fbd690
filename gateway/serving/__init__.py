"""The gateway's server: listening sockets that stay, workers that come and go, one port for the figures of all."""
