"""The command line's side of HTTP: requests to a running service, and its errors in one sentence."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

UNFINISHED = ("queued", "running")


class Refused(Exception):
    """The service did not do it; says why."""

    def __init__(self, detail: str, example: int | None = None, unlabelled: bool = False) -> None:
        super().__init__(detail)
        self.example = example
        """Index of the input that is at fault, if one is."""
        self.unlabelled = unlabelled
        """Whether that is one of the unlabelled."""


class Client:
    """A running service. Every method raises `Refused`."""

    def __init__(self, url: str) -> None:
        local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")  # never to be asked of a proxy
        timeout = httpx.Timeout(90, connect=5)
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=not local, headers=authorization())

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON under a path."""
        return self._request("GET", path, params=parameters)

    def delete(self, path: str) -> None:
        """Remove what is under a path."""
        self._request("DELETE", path)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Change what is under a path."""
        return self._request("PATCH", path, json=body)

    def upload(self, path: str, file: Path, **parameters: Any) -> Any:
        """Send a file, however large, as it is."""
        given = {name: value for name, value in parameters.items() if value is not None}
        with file.open("rb") as content:
            return self._request("POST", path, content=content, params=given, timeout=httpx.Timeout(None, connect=5))

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """Set what is under a path."""
        return self._request("PUT", path, json=body)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to a question."""
        return self._request("POST", path, json=body)

    def adapt(self, body: dict[str, Any] | None, path: str = "/adapt", method: str = "POST") -> dict[str, Any]:
        """The adapted model that a request makes, however long it takes."""
        model: dict[str, Any] = self._request(method, path, **({} if body is None else {"json": body}))
        if model["status"] in UNFINISHED:
            while self.get(f"/jobs/{model['id']}", wait=20)["status"] in UNFINISHED:
                pass
            model = self.get(f"/models/{model['id']}")
        if model["status"] != "ready":
            error = model.get("error") or {}
            raise Refused(f"{model['id']} {model['status']}: {error.get('detail', 'no reason was kept')}")
        return model

    def predict(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answers to the inputs of a request."""
        answers: dict[str, Any] = self.post("/predict", body)
        return answers

    def _request(self, method: str, path: str, **content: Any) -> Any:
        try:
            answer = self._http.request(method, path, **content)
        except httpx.ConnectError as error:
            raise Refused(
                f"nothing answers at {self.url} ({error}); start the service with `script/up` or `shotput up`, "
                "or say where it is with --url or SHOTPUT_URL"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(f"{method} {self.url}{path}: {error or type(error).__name__}") from None
        if not answer.is_success:
            raise refusal(answer)
        return answer.json() if answer.content else None


def authorization() -> dict[str, str]:
    """The header with the API key of the environment, if there is one."""
    key = os.environ.get("SHOTPUT_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def refusal(answer: httpx.Response) -> Refused:
    """The error in an answer: that of its problem document, else its status line."""
    if answer.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return Refused(f"{answer.url} answered {answer.status_code} {answer.reason_phrase}: {answer.text[:200]}")
    problem = answer.json()
    pointers = [
        re.search(r"/(inputs|unlabelled)/(\d+)$", error.get("pointer", "")) for error in problem.get("errors", [])
    ]
    examples = [(int(found[2]), found[1] == "unlabelled") for found in pointers if found]
    return Refused(f"{problem['title']}: {problem['detail']}", *(examples[0] if examples else (None,)))
