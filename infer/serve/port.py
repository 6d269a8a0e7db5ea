"""The port of a server: on this machine alone, and taken before a model is loaded."""

import socket

from datagen.errors import UserError

HOST = "127.0.0.1"


def listening(port: int) -> socket.socket:
    """A socket at the port, of this machine alone. Raises UserError where it is taken."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        raise UserError(
            f"port {port} of this machine can't be had ({error.strerror}). Name another by --port"
        ) from None
    return found
