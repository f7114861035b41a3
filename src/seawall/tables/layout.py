"""How sources are written, where it is not the usual way: delimiters, no header, wide tables, names in file names."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(min_length=1, max_length=10_000)]

BARS = ("open", "high", "low", "close", "volume")
"""Columns of a bar after its time, in the order the importers know."""

LEAN_SCALE = 10_000.0
"""Lean keeps prices as integers of a ten-thousandth."""

IMPORTERS = ("qlib", "freqtrade", "lean")
"""Formats of other programs: their files say what the columns are, and the entity is in a file or folder name."""


class Layout(BaseModel):
    """How the sources are written; what is left out is taken from suffix and header."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["auto", "qlib", "freqtrade", "lean"] = Field(
        default="auto", description="auto: by suffix; or the program that wrote the files"
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="of CSV; taken from the header when missing"
    )
    decimal: Literal[".", ","] = Field(default=".", description="decimal mark of CSV numbers")
    thousands: Literal["", ",", ".", " ", "'", "_"] = Field(default="", description="thousands mark of CSV numbers")
    columns: tuple[Name, ...] = Field(default=(), description="names of the columns of CSV files without a header")
    wide: Name | None = Field(
        default=None,
        description="entities are columns: name of the value their cells hold; '*' is the file's name, and what "
        "several files hold for one entity and time is one row",
    )
    entity_from_file: str | None = Field(
        default=None, description="one file per entity: pattern of the file name without suffix, such as {entity}-1d"
    )
    missing_columns: Literal["error", "null"] = Field(
        default="error", description="a column that some files lack: refused, or missing values there"
    )
    divide: dict[Name, float] = Field(
        default_factory=dict, description="column: number its values are divided by, for scaled integers"
    )
    max_expansion: float = Field(
        default=200.0, gt=1.0, description="bytes a compressed file may give per byte of its own"
    )
    # 200: tables of numbers give 3 to 20; a file that gives more is nearly always a mistake or an attack

    @model_validator(mode="after")
    def _agree(self) -> "Layout":
        if self.thousands and self.thousands in (self.decimal, self.delimiter):
            raise ValueError(f"thousands {self.thousands!r} is the decimal mark or the delimiter as well")
        if self.decimal == "," and self.delimiter == ",":
            raise ValueError("the decimal mark ',' is the delimiter as well")
        if self.wide and self.entity_from_file:
            raise ValueError("a wide table names its entities in the header, not in the file name")
        if self.entity_from_file is not None and self.entity_from_file.count("{entity}") != 1:
            raise ValueError("entity_from_file needs {entity} once, as in '{entity}-1d'")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("a name occurs twice in columns")
        if any(not number or number != number for number in self.divide.values()):
            raise ValueError("divide needs numbers other than zero")
        return self

    def resolved(self, time: str) -> "Layout":
        """Spell out what a format of another program means for the reader."""
        if self.format == "lean":
            divide = dict.fromkeys(BARS[:4], LEAN_SCALE)
            named = self.entity_from_file or "{entity}"
            return self.model_copy(
                update={"columns": (time, *BARS), "divide": divide | self.divide, "entity_from_file": named}
            )
        return self

    @property
    def has_fields(self) -> bool:
        """Whether the rows of a key may come from several files, each a wide table of one field."""
        return self.wide == "*"


PLAIN = Layout()
