"""Which columns of a text table are numbers: judged by what most of their first values are."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from seawall.tables.layout import Layout
from seawall.tables.numbers import NULL_TEXTS, to_numbers
from seawall.tables.parts import Part
from seawall.tables.read import UNREADABLE, column_names, unreadable
from seawall.tables.streams import open_bytes

LOOK_BYTES = 512 * 1024

MOSTLY_SHARE = 0.5
"""Part of the values there that must be numbers: the others are mistakes of single rows, to be found by line."""


def mostly_numbers(part: Part, layout: Layout) -> list[str]:
    """List the columns most of whose values in the first half MiB are numbers.

    Raises
    ------
    DataError
        Where the file cannot be parsed.
    """
    names = column_names(part, layout)
    try:
        rows = first_rows(part, layout, names)
    except UNREADABLE as error:
        raise unreadable(part, error) from error
    found = []
    for name in names:
        texts = pa.concat_arrays(rows[name].chunks) if rows.num_rows else pa.array([], pa.string())
        numbers, fits = to_numbers(texts, layout)
        num_numbers, num_others = len(numbers) - numbers.null_count, int(np.sum(~fits))
        if num_numbers and num_numbers >= MOSTLY_SHARE * (num_numbers + num_others):
            found.append(name)
    return found


def first_rows(part: Part, layout: Layout, names: list[str]) -> pa.Table:
    """Read the rows of the first half MiB, every cell as text."""
    with open_bytes(part, layout) as stream:
        text = stream.read(LOOK_BYTES) or b""
        if stream.read(1):
            text = text[: text.rfind(b"\n") + 1]
    is_json = part.kind == "json"
    return pacsv.read_csv(
        io.BytesIO(text),
        read_options=pacsv.ReadOptions(use_threads=False, column_names=list(layout.columns) or None),
        parse_options=pacsv.ParseOptions(
            delimiter="," if is_json else layout.delimiter or ",", invalid_row_handler=lambda row: "skip"
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=NULL_TEXTS, strings_can_be_null=True
        ),
    )
