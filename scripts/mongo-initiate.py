"""Makes a mongod that runs with --replSet a writable one-node set.

usage: mongo-initiate.py SET PORT

Exits with 0 once the node takes writes, and with 1 and a reason when it does not within two seconds: call it again. An
initiated set is left alone, except that its one member is moved to PORT when the stack had to take another one.

Debian packages neither MongoDB's shell nor a driver we could count on, so this speaks the few bytes of the wire
protocol itself. It is no client: it knows the BSON types that these few answers hold, and refuses the rest.
"""

import socket
import struct
import sys
import time

ALREADY_INITIALIZED = 23
PATIENCE = 2


class Raw(bytes):
    """A value that is only carried through, with its BSON type in front (object ids, dates, timestamps)."""


def encode(document):
    body = b"".join(encode_field(str(name), value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def encode_field(name, value):
    key = name.encode() + b"\0"
    if isinstance(value, Raw):
        return value[:1] + key + value[1:]
    if value is None:
        return b"\x0a" + key
    if isinstance(value, bool):
        return b"\x08" + key + bytes([value])
    if isinstance(value, int):
        return b"\x12" + key + struct.pack("<q", value)
    if isinstance(value, float):
        return b"\x01" + key + struct.pack("<d", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + key + struct.pack("<i", len(text)) + text
    if isinstance(value, dict):
        return b"\x03" + key + encode(value)
    if isinstance(value, list):
        return b"\x04" + key + encode(dict(enumerate(value)))
    raise TypeError(f"no BSON for {type(value).__name__} in {name}")


def decode(data, at=0):
    """The document at `at`, and where it ends."""
    end = at + struct.unpack_from("<i", data, at)[0]
    at += 4
    document = {}
    while data[at] != 0:
        kind = data[at]
        stop = data.index(b"\0", at + 1)
        name = data[at + 1 : stop].decode()
        document[name], at = decode_value(kind, data, stop + 1)
    return document, end


def decode_value(kind, data, at):
    if kind == 0x01:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind == 0x02:
        length = struct.unpack_from("<i", data, at)[0]
        return data[at + 4 : at + 3 + length].decode(), at + 4 + length
    if kind == 0x03:
        return decode(data, at)
    if kind == 0x04:
        document, end = decode(data, at)
        return list(document.values()), end
    if kind == 0x05:
        end = at + 5 + struct.unpack_from("<i", data, at)[0]
        return Raw(b"\x05" + data[at:end]), end
    if kind == 0x08:
        return data[at] == 1, at + 1
    if kind == 0x0A:
        return None, at
    if kind == 0x10:
        return struct.unpack_from("<i", data, at)[0], at + 4
    if kind == 0x12:
        return struct.unpack_from("<q", data, at)[0], at + 8
    sizes = {0x07: 12, 0x09: 8, 0x11: 8}
    if kind in sizes:
        end = at + sizes[kind]
        return Raw(bytes([kind]) + data[at:end]), end
    raise ValueError(f"BSON type {kind:#x} is not expected here")


class Connection:
    OP_MSG = 2013

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def run(self, **command):
        # Section kind 0 is one document; flag bits stay zero, so the server always answers.
        body = struct.pack("<iB", 0, 0) + encode({**command, "$db": "admin"})
        self.socket.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, self.OP_MSG) + body)
        length = struct.unpack("<iiii", self.read(16))[0]
        return decode(self.read(length - 16), 5)[0]

    def read(self, length):
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise ConnectionError("mongod closed the connection")
            data += part
        return data


def step(connection, name, address):
    """Asks once and does what is missing; true when the node takes writes."""
    hello = connection.run(hello=1)
    if hello.get("me") == address:
        return hello.get("isWritablePrimary") is True  # if not, the election is on its way
    config = {"_id": name, "members": [{"_id": 0, "host": address}]}
    if connection.run(replSetInitiate=config).get("code") == ALREADY_INITIALIZED:
        move(connection, address)
    return False


def move(connection, address):
    answer = connection.run(replSetGetConfig=1)
    config = answer.get("config")
    if config is None or [member["host"] for member in config["members"]] == [address]:
        return
    config["members"] = [{**config["members"][0], "host": address}]
    config["version"] += 1
    # Forced, because a set whose only member is not found at its address has no primary to ask.
    connection.run(replSetReconfig=config, force=True)


def main(name, port):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if step(Connection(port), name, f"127.0.0.1:{port}"):
                return
            reason = "it is no writable primary yet"
        except OSError as error:
            reason = error
        if time.monotonic() > deadline:
            sys.exit(f"mongod on port {port}: {reason}")
        time.sleep(0.05)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]))
