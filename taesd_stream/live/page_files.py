"""The files that the page is made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["PAGE", "PageFiles"]

PAGE: Final = Path(__file__).parent / "page"

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Said here, since a system's own table may say otherwise, by which browsers run no script."""


class PageFiles(StaticFiles):
    """The files that the page is made of; browsers ask each time whether they are the same."""

    def __init__(self) -> None:
        super().__init__(directory=PAGE)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """One of them."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "no-cache"
        kind = _TYPES.get(Path(full_path).suffix)
        if kind is not None:
            response.headers["content-type"] = f"{kind}; charset=utf-8"
        return response
