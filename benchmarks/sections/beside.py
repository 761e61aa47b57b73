"""Ours and others' measured in turns."""

from typing import Any


def beside(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of times, ratios and what was aimed at."""
    titles = ["", "ours, ms", "beside", "its, ms", "times faster", "aimed at", "multiplications, ms", "load"]
    return titles, [
        [
            row["what"],
            f"{row['ours_ms']:.1f}",
            row["theirs"],
            f"{row['theirs_ms']:.1f}",
            f"{row['ratio']:.2f}",
            row["wanted"],
            f"{row['limit_ms']:.1f}" if "limit_ms" in row else "",
            f"{row['load']:.0f}",
        ]
        for row in rows
    ]


def with_ratio(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> list[list[str]]:
    """Lines of those rows that have the columns, with their ratios and what was aimed at."""
    return [
        [
            row["what"],
            *(f"{row[column]:.1f}" for column in columns),
            f"{row['ratio']:.2f}",
            row["wanted"],
            f"{row['load']:.0f}",
        ]
        for row in rows
        if columns[0] in row
    ]
