"""The worker's end of the pipes to its parent."""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue

import msgspec

from dmr_tui.engine.protocol import FromWorker, ToWorker, decode_to_worker, encode_frame, read_frame


class ParentPipe:
    """Takes standard input and output for frames, and for nothing else.

    What native code prints goes to standard error, the worker's log. A thread of its own reads: the
    end of the input ends the process at once, even while the main thread is deep in native code.
    """

    def __init__(self) -> None:
        self._input, self._output = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self.inbox: SimpleQueue[ToWorker] = SimpleQueue()
        """What the parent said, in order."""
        threading.Thread(target=self._read, name="parent", daemon=True).start()

    def send(self, message: FromWorker) -> None:
        """Tell the parent; called from the main thread only.

        Raises:
            BrokenPipeError: the parent is gone.
        """
        left = memoryview(encode_frame(message))
        while left:
            left = left[os.write(self._output, left) :]

    def _read(self) -> None:
        status = 1
        try:
            while (body := read_frame(self._exactly)) is not None:
                self.inbox.put(decode_to_worker(body))
            status = 0
        except msgspec.MsgspecError as error:  # the parent is of another version
            print(f"the parent cannot be understood: {error}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = os.read(self._input, count - len(data))
            if not part:
                break
            data += part
        return bytes(data)
