"""The socket of a daemon on the same host, for parts in slots: proto/ckpt/v1/local.proto."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import weakref
from typing import Any, Callable, Optional

from ckptd import v1
from ckptd.errors import Error, make_error
from ckptd.internal.rpc_status import from_status
from ckptd.internal.slots import Slot

_CONNECT_TIMEOUT = 10.0
_MAX_ANSWER_BYTES = 4 << 20
_LENGTH = struct.Struct("<I")


class SlotRefusedError(Exception):
    """The daemon does not take this slot (a limit, most likely): its bytes can be uploaded."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class LocalLink:
    """One connection. Thread-safe: of the threads that wait for answers one reads for all."""

    def __init__(self, path: str, token: bytes, client: str) -> None:
        """Connects. Errors: OSError, and the daemon's."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._send_lock = threading.Lock()  # frames are whole, and slots known before they are used
        self._known: dict[int, weakref.ref[Slot]] = {}
        self._changed = threading.Condition()  # what follows, under its lock
        self._last_id = 0
        self._answers: dict[int, v1.LocalResponse] = {}
        self._reading = False
        self._lost: Optional[Error] = None
        try:
            self._socket.settimeout(_CONNECT_TIMEOUT)
            self._socket.connect(path)
            hello = v1.LocalHello(token=token, client=client)
            self._ask(v1.LocalRequest(hello=hello))
            self._socket.settimeout(None)
        except BaseException:
            self._socket.close()
            raise

    @property
    def lost(self) -> bool:
        with self._changed:
            return self._lost is not None

    def make_known(self, slot: Slot) -> None:
        """Once is enough. Errors: SlotRefusedError; UnavailableError: the connection is lost."""
        with self._send_lock:
            known = self._known.get(slot.number)
            if known is not None and known() is slot:
                return
            forgotten = [
                number
                for number, reference in self._known.items()
                if (other := reference()) is None or other.closed
            ]
            assert slot.fd is not None
            for number in forgotten:
                del self._known[number]
                self._ask(v1.LocalRequest(release_slot=v1.ReleaseSlot(slot=number)), locked=True)
            register = v1.RegisterSlot(slot=slot.number, size=slot.capacity)
            try:
                self._ask(v1.LocalRequest(register_slot=register), slot.fd, locked=True)
            except Error as error:
                if error.code == "UNAVAILABLE":
                    raise
                raise SlotRefusedError(error) from None
            self._known[slot.number] = weakref.ref(slot)

    def submit(self, slot: Slot, start: v1.UploadStart) -> v1.UploadFinished:
        """Hands a part over, in a slot that was made known, and waits until it is durable. Errors:
        those of an upload; UnavailableError when the connection is lost."""
        part = v1.SubmitPart(start=start, slot=slot.number, generation=slot.generation)
        return self._ask(v1.LocalRequest(submit=part)).stored

    def close(self) -> None:
        """Whoever waits gets UnavailableError."""
        self._lose("it was closed")

    def _ask(
        self, request: Any, descriptor: Optional[int] = None, locked: bool = False
    ) -> v1.LocalResponse:
        with self._changed:
            self._last_id += 1
            request.id = self._last_id
        if locked:
            self._send(request, descriptor)
        else:
            with self._send_lock:
                self._send(request, descriptor)
        answer = self._await(request.id)
        if answer.WhichOneof("message") == "error":
            raise from_status(answer.error)
        return answer

    def _send(self, request: Any, descriptor: Optional[int]) -> None:
        body = request.SerializeToString()
        frame = _LENGTH.pack(len(body)) + body
        try:
            if descriptor is not None:
                sent = socket.send_fds(self._socket, [frame], [descriptor])
                frame = frame[sent:]
            self._socket.sendall(frame)
        except OSError as error:
            raise self._lose(str(error)) from None

    def _await(self, number: int) -> v1.LocalResponse:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: number in self._answers or self._lost is not None or not self._reading
                )
                if number in self._answers:
                    return self._answers.pop(number)
                if self._lost is not None:
                    raise self._lost
                self._reading = True
            try:
                self._read_answer()
            finally:
                with self._changed:
                    self._reading = False
                    if self._lost is not None:
                        self._socket.close()
                    self._changed.notify_all()

    def _read_answer(self) -> None:
        try:
            (size,) = _LENGTH.unpack(self._receive(_LENGTH.size))
            if size > _MAX_ANSWER_BYTES:
                raise OSError(f"an answer of {size} bytes")
            answer = v1.LocalResponse.FromString(self._receive(size))
        except (OSError, ValueError) as error:
            self._lose(str(error))
            return
        if answer.id == 0:
            self._lose(answer.error.message)
            return
        with self._changed:
            self._answers[answer.id] = answer

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            more = self._socket.recv(size - len(received))
            if not more:
                raise OSError("the daemon has closed it")
            received += more
        return bytes(received)

    def _lose(self, why: str) -> Error:
        with self._changed:
            if self._lost is None:
                message = f"the connection for shared memory is lost: {why}"
                self._lost = make_error("UNAVAILABLE", message)
                with contextlib.suppress(OSError):  # it may not be up any more
                    self._socket.shutdown(socket.SHUT_RDWR)
                if not self._reading:
                    self._socket.close()
            self._changed.notify_all()
            return self._lost


class LocalLinks:
    """The connection to the daemon there is now; none where there is no shared memory to be had.
    Thread-safe."""

    def __init__(self, welcome: Callable[[], Optional[v1.Welcome]], client: str) -> None:
        """`welcome` gives the daemon's newest."""
        self._welcome = welcome
        self._client = client
        self._lock = threading.Lock()
        self._link: Optional[LocalLink] = None
        self._token = b""  # of _link, or of a daemon that could not be reached
        self._reached = False  # at some time, this daemon or the one before it
        self._why = ""  # the last connection could not be made

    def current(self) -> Optional[LocalLink]:
        welcome = self._welcome()
        if welcome is None or not welcome.local_socket:
            return None
        with self._lock:
            is_new = welcome.local_token != self._token
            if is_new or (self._link is not None and self._link.lost):
                self._drop()
                self._token = welcome.local_token
                self._connect(welcome.local_socket)
            return self._link

    def required(self) -> LocalLink:
        """For what can go no other way. Errors: UnavailableError: a daemon was reached, and may be
        again; SHARED_MEMORY_REQUIRED: none was."""
        link = self.current()
        if link is not None:
            return link
        with self._lock:
            if self._reached:
                raise make_error("UNAVAILABLE", f"no shared memory meanwhile: {self._why}")
            raise make_error(
                "FAILED_PRECONDITION",
                "a snapshot in memory (PLACEMENT_MEMORY) takes a trainer on the daemon's host, and"
                f" the socket for shared memory cannot be reached from here: {self._why}",
                reason="SHARED_MEMORY_REQUIRED",
            )

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _connect(self, path: str) -> None:
        try:
            self._link = LocalLink(path, self._token, self._client)
            self._reached = True
        except (OSError, Error) as error:  # on another host, or in another container
            self._why = f"{path}: {error}"

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
