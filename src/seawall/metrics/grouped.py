"""The same metrics for each output of a model, or for each group of pairs: folds, months, gauges, steps ahead."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seawall.metrics.pointwise import PointwiseMoments, PointwiseResult


class OutputMoments:
    """:class:`PointwiseMoments` of each output; memory is 1 KiB an output.

    Parameters
    ----------
    num_outputs
        Size of the last axis of what is fed.

    Raises
    ------
    ValueError
        For less than one output.

    Examples
    --------
    >>> moments = OutputMoments(2)
    >>> moments.update([[1.0, 5.0], [2.0, 5.0]], [[1.0, 4.0], [2.0, 7.0]])
    >>> [result.mae for result in moments.result()]
    [0.0, 1.5]
    """

    def __init__(self, num_outputs: int) -> None:
        if num_outputs < 1:
            raise ValueError(f"num_outputs is {num_outputs}: must be at least 1")
        self.outputs = tuple(PointwiseMoments() for _ in range(num_outputs))
        """Moments of each output."""

    def update(self, prediction: npt.ArrayLike, target: npt.ArrayLike) -> None:
        """Take in two arrays of one shape whose last axis is the outputs.

        Parameters
        ----------
        prediction, target
            Shape [..., num_outputs], any number dtype; a pair with a NaN on either side is left out and counted.

        Raises
        ------
        ValueError
            Where the shapes differ, or the last axis is not the outputs.
        """
        predictions, targets = np.asarray(prediction), np.asarray(target)
        if predictions.shape != targets.shape or predictions.shape[-1:] != (len(self.outputs),):
            shapes = f"prediction of shape {predictions.shape}, target of shape {targets.shape}"
            raise ValueError(f"{shapes}: must be equal and end with {len(self.outputs)} outputs")
        for number, moments in enumerate(self.outputs):
            moments.update(predictions[..., number], targets[..., number])

    def merge(self, other: "OutputMoments") -> None:
        """Take in everything another accumulator of as many outputs has seen."""
        for own, others in zip(self.outputs, other.outputs, strict=True):
            own.merge(others)

    def result(self) -> tuple[PointwiseResult, ...]:
        """Compute the numbers of each output."""
        return tuple(moments.result() for moments in self.outputs)

    def state(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return {"outputs": [moments.state() for moments in self.outputs]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Continue from what :meth:`state` gave."""
        restored = cls(len(state["outputs"]))
        restored.outputs = tuple(PointwiseMoments.from_state(of_output) for of_output in state["outputs"])
        return restored


class GroupMoments:
    """:class:`PointwiseMoments` of each group; memory is 1 KiB a group that was seen.

    Examples
    --------
    >>> moments = GroupMoments()
    >>> moments.update([1.0, 2.0, 4.0], [1.0, 3.0, 3.0], [7, 8, 8])
    >>> {group: result.mae for group, result in moments.result().items()}
    {7: 0.0, 8: 1.0}
    """

    def __init__(self) -> None:
        self.groups: dict[int, PointwiseMoments] = {}
        """Moments of each group."""

    def update(self, prediction: npt.ArrayLike, target: npt.ArrayLike, group: npt.ArrayLike) -> None:
        """Take in pairs with the number of the group of each.

        Parameters
        ----------
        prediction, target
            Any shape and number dtype; a pair with a NaN on either side is left out and counted.
        group
            Integers of the same shape.

        Raises
        ------
        ValueError
            Where the shapes differ, or groups are no integers.
        """
        predictions, targets, groups = np.asarray(prediction), np.asarray(target), np.asarray(group)
        if not predictions.shape == targets.shape == groups.shape or not np.issubdtype(groups.dtype, np.integer):
            shapes = f"prediction {predictions.shape}, target {targets.shape}, group {groups.shape} {groups.dtype}"
            raise ValueError(f"{shapes}: must be of one shape, and groups integers")
        order = np.argsort(groups.reshape(-1), kind="stable")
        ordered = groups.reshape(-1)[order]
        cuts = np.flatnonzero(np.diff(ordered)) + 1
        for places in np.split(order, cuts) if len(order) else []:
            number = int(groups.reshape(-1)[places[0]])
            moments = self.groups.setdefault(number, PointwiseMoments())
            moments.update(predictions.reshape(-1)[places], targets.reshape(-1)[places])

    def merge(self, other: "GroupMoments") -> None:
        """Take in everything another accumulator has seen; the other one is left as it is."""
        for number, moments in other.groups.items():
            self.groups.setdefault(number, PointwiseMoments()).merge(moments)

    def result(self) -> dict[int, PointwiseResult]:
        """Compute the numbers of each group, in order of their number."""
        return {number: self.groups[number].result() for number in sorted(self.groups)}

    def state(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return {"groups": [[number, self.groups[number].state()] for number in sorted(self.groups)]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Continue from what :meth:`state` gave."""
        restored = cls()
        restored.groups = {int(number): PointwiseMoments.from_state(of_group) for number, of_group in state["groups"]}
        return restored
