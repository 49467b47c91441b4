"""Looks into an ONNX file without the `onnx` package, which the base install does not have.

Only one question is asked: does the model read weights from another file? A bundle that does breaks when it is moved,
and a hostile one could name any file of this machine. The file is a protocol buffer; this walks its wire format
(https://protobuf.dev/programming-guides/encoding) along the few fields that can hold a tensor (onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator

# Message -> {field number: message it holds}, for every path of onnx.proto3 that leads to a TensorProto.
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_MAX_DEPTH = 64


def external_data(model: bytes) -> str:
    """The name of the first file that the model keeps weights in, or "" where it keeps all in itself.

    Bytes that are no protocol buffer give ""; ONNX Runtime refuses them with its own reason.
    """
    try:
        return next(_locations(memoryview(model), "model", 0), "")
    except (IndexError, ValueError):
        return ""


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    """File names in the StringStringEntryProto entries of a tensor's `external_data`."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    for field, content in _submessages(message):
        child = _FIELDS[kind].get(field)
        if child == "entry":
            pair = {number: bytes(text).decode("utf-8", "replace") for number, text in _submessages(content)}
            if pair.get(1) == "location":
                yield pair.get(2, "") or "unnamed"
        elif child:
            yield from _locations(content, child, depth + 1)


def _submessages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Field number and bytes of each length-delimited field."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire = tag & 7
        if wire == 0:
            _, position = _varint(message, position)
        elif wire in {1, 5}:
            position += 8 if wire == 1 else 4
        elif wire == 2:
            length, position = _varint(message, position)
            if position + length > len(message):
                raise ValueError("truncated")
            yield tag >> 3, message[position : position + length]
            position += length
        else:
            raise ValueError("not a protocol buffer")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("not a protocol buffer")
