"""Uploaded datasets."""

from typing import Literal

from pydantic import BaseModel, Field


class DatasetOptions(BaseModel):
    """How an uploaded file is to be read, where its content leaves it open."""

    name: str | None = Field(None, max_length=200, description="your own name for the dataset")
    format: str | None = Field(None, description="folders, csv, parquet, jsonl or npz; recognised if not given")
    target: str | None = Field(None, max_length=500, description="column of a table that holds the label")
    task: Literal["classification", "regression"] | None = Field(None, description="what integer labels mean")
    modality: str | None = Field(None, description="of the inputs, such as image, audio, text, table, series or vector")


class DatasetView(BaseModel):
    """A dataset of labelled examples."""

    id: str = Field(examples=["dst_5b2f0c9d3e7a41c6a8d4f1e2b3c4d5e6"])
    name: str | None = Field(examples=["birds of the garden"])
    status: Literal["ready"] = Field(examples=["ready"])
    format: str = Field(examples=["folders"])
    modality: str = Field(examples=["image"])
    task: Literal["classification", "regression"] = Field(examples=["classification"])
    target: str | None = Field(examples=[None], description="column of a table that holds the label; null: the last")
    examples: int = Field(examples=[1200])
    ways: int | None = Field(examples=[60], description="number of classes")
    classes: dict[str, int] = Field(examples=[{"robin": 20, "wren": 20}], description="examples of the first 1,000")
    shape: list[int] = Field(examples=[[3, 28, 28]], description="of one input as a tensor, as its modality is set up")
    bytes: int = Field(examples=[48_213_772])
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    created_at: str = Field(examples=["2026-11-21T09:30:00.123Z"])
    links: dict[str, str] = Field(examples=[{"self": "/datasets/dst_…"}])


class DatasetList(BaseModel):
    """Datasets, newest first."""

    data: list[DatasetView]
    has_more: bool = Field(examples=[False])
    next_cursor: str | None = Field(examples=[None], description="send as `cursor` to get the next page")
