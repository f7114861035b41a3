"""Numbers as texts write them, and what stands for a missing one."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seawall.arrays import Bool
from seawall.tables.layout import Layout

NUMBER = r"(?i)^[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|inf|infinity|nan(\([a-z0-9_]*\))?)$"
"""What the fast CSV reader takes for a number, so that both ways agree."""

NULL_TEXTS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A"]


def to_numbers(texts: pa.Array, layout: Layout) -> tuple[pa.Array, Bool]:
    """Convert texts to float64; False where a text is neither missing nor a number of the fast reader."""
    trimmed = _with_usual_marks(pc.utf8_trim_whitespace(texts), layout)
    present = pc.if_else(pc.is_in(trimmed, pa.array(NULL_TEXTS)), pa.scalar(None, pa.string()), trimmed)
    fits = pc.fill_null(pc.match_substring_regex(present, NUMBER), True)
    clean = pc.if_else(fits, present, pa.scalar(None, pa.string()))
    return pc.replace_substring_regex(clean, r"^\+", "").cast(pa.float64()), np.asarray(fits)


def _with_usual_marks(texts: pa.Array, layout: Layout) -> pa.Array:
    """Write numbers with a point and no thousands mark; a number grouped in another way stays, and will not fit."""
    if layout.thousands:
        mark = re.escape(layout.thousands)
        grouped = pc.match_substring_regex(texts, rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+([^\d{mark}]|$)")
        texts = pc.if_else(grouped, pc.replace_substring(texts, layout.thousands, ""), texts)
    if layout.decimal == ",":
        swapped = pc.replace_substring(pc.replace_substring(texts, ".", "not a number"), ",", ".")
        texts = swapped
    return texts
