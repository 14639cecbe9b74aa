"""Work that the disk may refuse: said once, tried again the next time, and never the end of a thread."""

from __future__ import annotations

import logging
from collections.abc import Callable

from auditdeck.errors import StoreError

logger = logging.getLogger("auditdeck")


class Attempts:
    """`attempt(what, work)`: whether it could be done. What fails is logged at the first time, and when it works again.

    In any thread; `failing` has what does not work now.
    """

    def __init__(self) -> None:
        self.failing: set[str] = set()

    def attempt(self, what: str, work: Callable[[], object]) -> bool:
        try:
            work()
        except (OSError, StoreError) as error:
            if what not in self.failing:
                self.failing.add(what)
                told = str(error) if isinstance(error, StoreError) else f"cannot {what}: {error}"
                logger.error("%s; it goes on without, and tries again", told)
            return False
        if what in self.failing:
            self.failing.discard(what)
            logger.warning("%s: works again", what)
        return True
