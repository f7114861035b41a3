"""Keys of tables that are matched with each other: one code per entity name, times in ns, and what they looked like."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seawall.arrays import Bool, Int64
from seawall.errors import DataError
from seawall.tables.times import TimeFormat, from_typed, infer_format, parse_texts

NUM_EXAMPLES = 3
"""Keys shown of each side where two tables do not meet."""


class EntityCodes:
    """Numbers for entity names, shared by all tables that are matched; memory is the names."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def names(self) -> list[str]:
        """Names in order of their codes: first seen first."""
        return list(self._codes)

    def restore(self, names: Sequence[str]) -> None:
        """Know these names, in order of their codes, and no others."""
        self._codes = {name: code for code, name in enumerate(names)}

    def encode(self, column: pa.Array) -> tuple[Int64, Bool]:
        """Give each row the code of its name.

        Parameters
        ----------
        column
            Text, dictionary of text, or integers (their digits are the name: 7 is not ``007``).

        Returns
        -------
        codes : int64 [n]
            -1 where the name is missing or empty.
        present : bool [n]
        """
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        texts = column.dictionary.cast(pa.string()).to_pylist()
        local = np.array([self._code(text) if text else -1 for text in texts] or [-1], np.int64)
        places = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
        codes = np.where(places >= 0, local[places], -1)
        return codes, codes >= 0

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def ranks(self) -> Int64:
        """int64 [E]; place of each code among the names sorted by their UTF-8 bytes."""
        order = sorted(range(len(self._codes)), key=[name.encode() for name in self._codes].__getitem__)
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks


@dataclass(slots=True)
class TimeReader:
    """Read the time column of one table to the end in one way.

    A format is inferred from the first values where none is declared, and then held to: a value it does not read is
    an error with file and line, never a guess.
    """

    where: str
    format: TimeFormat | None = None
    kind: str = ""
    has_offsets: bool | None = None
    """Whether times come with a time zone or offset; None before the first row."""
    examples: list[str] = field(default_factory=list)

    def read(self, column: pa.Array, lines: Int64, file: str) -> Int64:
        """Read a block of times: int64 [n], ns since 1970 UTC or plain steps.

        Raises
        ------
        DataError
            For a missing time, one that does not fit the format, or a kind or offset unlike that of earlier rows.
        """
        self._note_examples(column)
        is_text = pa.types.is_dictionary(column.type)
        times, valid, kind = self._texts(column) if is_text else from_typed(column, where=file)
        if not valid.all():
            place = int(np.argmin(valid))
            raise DataError(
                f"{file}, line {int(lines[place])}",
                "the time is missing or does not fit the format",
                found=repr(str(column[place])),
                allowed=self.format.name if self.format is not None else str(column.type),
                do="Mend the row, or declare the format with --time-format.",
            )
        self._hold_to(kind, _offsets(column), file)
        return times

    def _texts(self, column: pa.DictionaryArray) -> tuple[Int64, Bool, str]:
        texts = column.dictionary.cast(pa.string())
        if self.format is None:
            self.format = infer_format(texts.drop_null().to_pylist(), where=self.where)
        parsed, fits = parse_texts(texts, self.format)
        places = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
        return np.append(parsed, 0)[places], np.append(fits, False)[places], self.format.calendar_kind

    def _hold_to(self, kind: str, has_offsets: bool | None, file: str) -> None:
        known = (self.kind, self.has_offsets)
        if self.kind and kind != self.kind:
            raise DataError(file, "files disagree on the kind of time", found=kind, allowed=self.kind)
        if has_offsets is not None and self.has_offsets is not None and has_offsets != self.has_offsets:
            raise DataError(
                file,
                "some times have a time zone and others have none",
                found=", ".join(self.examples),
                do="Write all of them with an offset, or none.",
            )
        self.kind = kind
        self.has_offsets = known[1] if has_offsets is None else has_offsets

    def _note_examples(self, column: pa.Array) -> None:
        if len(self.examples) < NUM_EXAMPLES:
            self.examples += [str(value) for value in column.slice(0, NUM_EXAMPLES).to_pylist()]
            del self.examples[NUM_EXAMPLES:]


def _offsets(column: pa.Array) -> bool | None:
    """Tell whether times carry an offset; None where it cannot be said (no value, or plain steps)."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return kind.tz is not None
    if not pa.types.is_dictionary(kind):
        return None if pa.types.is_integer(kind) else False
    texts = column.dictionary.cast(pa.string()).drop_null()
    if not len(texts):
        return None
    marked = pc.match_substring_regex(texts, r"^.{10}.*(Z|[+-]\d{2}:?\d{2})$")
    return bool(pc.any(marked).as_py())


def disagreement(sides: Sequence[tuple[str, TimeReader]]) -> str | None:
    """Say in words why the times of two tables cannot be compared; None where they can."""
    (first, one), (second, other) = sides
    if one.kind and other.kind and one.kind != other.kind:
        has = [f"{name} has {_kind_words(side.kind)} ({side.examples[0]})" for name, side in sides]
        return ", ".join(has)
    if None not in (one.has_offsets, other.has_offsets) and one.has_offsets != other.has_offsets:
        with_zone, without = ((first, one), (second, other)) if one.has_offsets else ((second, other), (first, one))
        return (
            f"the times of {with_zone[0]} have a time zone ({with_zone[1].examples[0]}), "
            f"those of {without[0]} have none ({without[1].examples[0]})"
        )
    return None


def _kind_words(kind: str) -> str:
    return "plain integers" if kind == "step" else "timestamps"
