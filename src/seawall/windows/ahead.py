"""Do the next piece of work in a thread while the last one is used."""

from collections.abc import Generator, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

Piece = TypeVar("Piece")


def ahead(pieces: Iterator[Piece], name: str) -> Generator[Piece, None, None]:
    """Give the pieces of an iterator, the next one being made in a thread of its own meanwhile.

    An error in the thread is raised here. Closing this generator waits for the piece being made, then closes the
    iterator in its thread.
    """
    worker = _Worker(pieces)
    thread = Thread(target=worker.run, name=name, daemon=True)
    thread.start()
    try:
        worker.wanted.put(True)
        while (answer := worker.made.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            worker.wanted.put(True)
            yield answer[0]
    finally:
        worker.wanted.put(False)
        thread.join()


class _Worker(Generic[Piece]):
    """Make a piece each time one is wanted. A plain queue costs a tenth of an executor's future a piece."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self.pieces = pieces
        self.wanted: SimpleQueue[bool] = SimpleQueue()
        self.made: SimpleQueue[tuple[Piece] | BaseException | None] = SimpleQueue()

    def run(self) -> None:
        while self.wanted.get():
            answer: tuple[Piece] | BaseException | None
            try:
                answer = (next(self.pieces),)
            except StopIteration:
                answer = None
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                answer = error
            self.made.put(answer)
            del answer
        if isinstance(self.pieces, Generator):
            self.pieces.close()
