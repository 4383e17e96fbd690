"""Published OpenAPI documents, read back."""

from __future__ import annotations

from typing import Any

import yaml

from gateway.kernel.errors import Misconfigured


def read_document(name: str, text: bytes) -> dict[str, Any]:
    """The document in YAML or JSON `text`; `Misconfigured` calls it `name` when it is none."""
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise Misconfigured(f"{name} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict) or "openapi" not in document:
        raise Misconfigured(f"{name} is not an OpenAPI document")
    return document
