"""Who works at the shell, for the audit trail."""

import getpass


def account() -> str:
    """The name of the operating system's account; ``unknown`` where it has none, as a container's may."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def shell_actor() -> str:
    """The actor of what a command does."""
    return f"shell/{account()}"
