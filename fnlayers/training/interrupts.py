"""Ctrl-C at a moment when nothing is lost by it."""

import signal
import threading
from typing import Any


class Interrupts:
    """Holds Ctrl-C back while a step is started.

    Between the call that gives the old train state away and the line that stores the new one, it does not happen.
    """

    def __init__(self) -> None:
        self.holding = self.waiting = self.installed = False

    def __enter__(self) -> "Interrupts":
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self.installed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self.installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def hold(self) -> None:
        """From here on Ctrl-C waits; a second one does not."""
        self.holding = True

    def release(self) -> None:
        """What waited happens now."""
        self.holding = False
        if self.waiting:
            self.waiting = False
            raise KeyboardInterrupt

    def _handle(self, *_: Any) -> None:
        if self.holding and not self.waiting:
            self.waiting = True
            return
        raise KeyboardInterrupt
