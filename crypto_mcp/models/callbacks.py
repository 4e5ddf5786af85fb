"""Telling a web address that a job has ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crypto_mcp.models.answers import Contract
from crypto_mcp.models.privacy import PRIVATE


class CallbackParams(Contract):
    """What `post_callback` takes."""

    job_id: str = Field(max_length=64, description="The job that has ended.")
    url: Annotated[str, PRIVATE] = Field(max_length=2000, description="Where to post.")


class Called(Contract):
    """The address was told."""

    status: int = Field(description="What it answered, 200 to 299.")
