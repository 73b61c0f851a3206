"""The launcher's own calls of an API that came to need tokens while it runs, or in an earlier run of a kept cluster."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from uuid import uuid4

import httpx

from tests.cluster.cluster import ROOT
from tests.services.programs import ProgramError


class DatabaseToken(httpx.Auth):
    """Sends a token as soon as the API needs one: one that `maybe-master token create` makes by the database."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings` are those of the master."""
        self._settings, self._token = settings, ""

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request, and once more with a new token when it was refused. Raises ProgramError."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = await created_token(self._settings)
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request


async def created_token(settings: Mapping[str, str]) -> str:
    """Create an admin token, and return it. Raises ProgramError."""
    command = (sys.executable, "-m", "master", "token", "create", "--name", f"dev-up-{uuid4().hex[:8]}", "--days", "30")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    printed, errors = await process.communicate()
    if process.returncode != 0:
        raise ProgramError(f"no token can be created: {errors.decode().strip()}")
    return printed.decode().strip()
