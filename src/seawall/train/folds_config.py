"""How the calendar is cut into folds."""

import re
from datetime import date
from math import comb
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MOST_FOLDS = 1000
"""Combinatorial folds at most: each is a model."""

_SPAN = re.compile(r"[1-9][0-9]*(y|mo?|w|d)", re.IGNORECASE)


def _checked_length(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if whole or (isinstance(value, str) and _SPAN.fullmatch(value)):
        return value
    raise ValueError("must be a positive number of dates, or a span such as 4y, 6mo, 13w or 90d")


Length: TypeAlias = Annotated[int | str, BeforeValidator(_checked_length)]


def _as_text(value: object) -> object:
    """YAML reads 2018-10-31 as a date of its own."""
    return value.isoformat() if isinstance(value, date) else value


Moment: TypeAlias = Annotated[int | str, BeforeValidator(_as_text)]


class DatedFold(BaseModel):
    """One fold by its dates; both ends of a segment belong to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: tuple[Moment, Moment] = Field(description="first and last date of train")
    valid_to: Moment = Field(description="last date of valid, which begins after train")
    test_to: Moment = Field(description="last date of test, which begins after valid")


class FoldsConfig(BaseModel):
    """How the calendar is cut. Lengths are all numbers of dates or all spans."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # walk_forward: what a strategy could have known; combinatorial folds also learn from what came after their tests.
    kind: Literal["walk_forward", "combinatorial"] = Field(
        default="walk_forward", description="combinatorial holds out every choice of test groups once, purged around"
    )
    num_groups: int | None = Field(default=None, ge=2, description="combinatorial: stretches the calendar is cut into")
    num_test_groups: int | None = Field(
        default=None, ge=1, description="combinatorial: groups held out together; comb(groups, test groups) models"
    )

    train: Length | None = Field(
        default=None, description="length of train, in dates (750) or as a span (4y, 6mo, 13w, 90d)"
    )
    valid: Length | None = Field(default=None, description="length of valid, which decides when to stop")
    test: Length | None = Field(default=None, description="length of test, which is predicted")
    # Empty: lengths say more than dates once data are appended.
    dates: tuple[DatedFold, ...] = Field(default=(), description="folds by their dates, instead of lengths")
    # None: the purge already keeps targets apart; a gap is for what else may leak over a border.
    gap: Length | None = Field(default=None, description="left unused before valid and before test")
    # None: test segments then cover time without holes and without overlap.
    step: Length | None = Field(default=None, description="from one fold to the next; the length of test where missing")
    # False: markets change, and each fold then costs the same; True where data are scarce.
    expanding: bool = Field(default=False, description="train always starts at the first date")
    # 0: the purge by the date a target ends is exact; an embargo is for features that leak slowly.
    embargo_periods: int = Field(
        default=0, ge=0, description="dates a target must be known before the next segment starts"
    )
    # False: a short last segment has fewer dates behind its statistics; say so to get it.
    partial_last: bool = Field(default=False, description="keep a last test segment that the calendar cuts short")

    @property
    def num_paths(self) -> int:
        """Times that combinatorial folds test each date; 0 where folds walk forward."""
        if self.num_groups is None or self.num_test_groups is None:
            return 0
        return comb(self.num_groups - 1, self.num_test_groups - 1)

    @model_validator(mode="after")
    def _groups_where_combinatorial(self) -> "FoldsConfig":
        groups, tested = self.num_groups, self.num_test_groups
        if self.kind == "walk_forward":
            if groups is not None or tested is not None:
                raise ValueError("num_groups: only folds of the kind combinatorial have groups")
            return self
        if groups is None or tested is None or self.valid is None:
            missing = [name for name in ("num_groups", "num_test_groups", "valid") if getattr(self, name) is None]
            raise ValueError(f"{missing[0]}: Field required for combinatorial folds")
        if tested >= groups:
            raise ValueError(f"num_test_groups: must be fewer than the {groups} groups")
        if comb(groups, tested) > MOST_FOLDS:
            raise ValueError(f"num_groups: {comb(groups, tested):,} folds, each a model; at most {MOST_FOLDS:,}")
        if self.train or self.test or self.dates or self.step or self.gap or self.expanding or self.partial_last:
            raise ValueError("kind: combinatorial folds take groups, valid and an embargo, nothing else")
        return self

    @model_validator(mode="after")
    def _lengths_or_dates(self) -> "FoldsConfig":
        if self.kind == "combinatorial":
            return self
        missing = [name for name in ("train", "valid", "test") if getattr(self, name) is None]
        if missing and not self.dates:
            raise ValueError(f"{missing[0]}: Field required, or give dates")
        if self.dates and (len(missing) < 3 or self.step or self.gap or self.expanding):
            raise ValueError("dates: explicit folds take no lengths, step, gap or expanding beside them")
        return self
