"""Files that are too large for the memory, received to disk."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Request
from starlette.datastructures import UploadFile

from meta_core.errors import InvalidRequest


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[tuple[Path, dict[str, str]]]:
    """The body of a request, or the file in its form, on disk for as long as it is needed; and the form's fields."""
    with tempfile.TemporaryDirectory(prefix="shotput-upload-") as folder:
        path = Path(folder) / "content"
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            fields = await _from_form(request, path)
        else:
            fields = {}
            with path.open("wb") as file:
                async for chunk in request.stream():
                    await asyncio.to_thread(file.write, chunk)
        if not path.stat().st_size:
            raise InvalidRequest("the body is empty; send the file as the body, or as the field `file` of a form")
        yield path, fields


async def _from_form(request: Request, path: Path) -> dict[str, str]:
    async with request.form(max_files=1, max_fields=20) as form:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise InvalidRequest(f"the form must hold one file, in the field `file`; found {len(files)}")
        with path.open("wb") as file:
            await asyncio.to_thread(shutil.copyfileobj, files[0].file, file, 1 << 20)
        return {name: value for name, value in form.items() if isinstance(value, str)}
