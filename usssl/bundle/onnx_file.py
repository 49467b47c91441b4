"""Looks into an ONNX file without the `onnx` package, which the base install does not have.

Two things are needed. `external_data` tells whether a model reads weights from another file: a bundle that does breaks
when it is moved, and a hostile one could name any file of this machine. `pruned` cuts a model down to the outputs that
are wanted, for ONNX Runtime computes every node of a graph whatever is asked of it (microsoft/onnxruntime#16013).

The file is a protocol buffer; this walks its wire format (https://protobuf.dev/programming-guides/encoding) along the
few fields of onnx.proto3 that matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

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
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS = {6, 11}
_TENSOR_NAME, _VALUE_NAME = 8, 1
_MAX_DEPTH = 64


def external_data(model: bytes) -> str:
    """The name of the first file that the model keeps weights in, or "" where it keeps all in itself.

    Bytes that are no protocol buffer give ""; ONNX Runtime refuses them with its own reason.
    """
    try:
        return next(_locations(memoryview(model), "model", 0), "")
    except (IndexError, ValueError):
        return ""


def pruned(model: bytes, outputs: Collection[str]) -> bytes:
    """The model with these graph outputs alone, and only the nodes and weights that they need.

    Args:
        model: an ONNX file whose nodes are in topological order, as the standard wants them.
        outputs: names of graph outputs.
    """
    parts = []
    for field, whole, content in _fields(memoryview(model)):
        if field == _MODEL_GRAPH and content is not None:
            graph = _pruned_graph(content, set(outputs))
            parts += [_tag(_MODEL_GRAPH), _to_varint(len(graph)), graph]
        else:
            parts.append(bytes(whole))
    return b"".join(parts)


def _pruned_graph(graph: memoryview, outputs: set[str]) -> bytes:
    fields = list(_fields(graph))
    needed = set(outputs)
    kept = set()
    for place in reversed(range(len(fields))):
        field, _, content = fields[place]
        if field == _GRAPH_NODE and content is not None and needed & set(_strings(content, _NODE_OUTPUT)):
            kept.add(place)
            needed.update(_reads(content, 0))
    # An input that has a default keeps it; without, it would be required.
    needed.update(
        name for field, _, content in fields if field == _GRAPH_INPUT for name in _strings(content, _VALUE_NAME)
    )
    parts = []
    for place, (field, whole, content) in enumerate(fields):
        if field == _GRAPH_NODE:
            wanted = place in kept
        elif field == _GRAPH_INITIALIZER:
            wanted = not needed.isdisjoint(_strings(content, _TENSOR_NAME))
        elif field == _GRAPH_OUTPUT:
            wanted = not outputs.isdisjoint(_strings(content, _VALUE_NAME))
        else:
            wanted = True
        if wanted:
            parts.append(bytes(whole))
    return b"".join(parts)


def _reads(node: memoryview, depth: int) -> Iterator[str]:
    """Names that a node reads, those that its inner graphs (of If, Loop, Scan) take from outside among them."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    yield from _strings(node, _NODE_INPUT)
    for attribute in _contents(node, {_NODE_ATTRIBUTE}):
        for graph in _contents(attribute, _ATTRIBUTE_GRAPHS):
            yield from _strings(graph, _GRAPH_OUTPUT, _VALUE_NAME)
            for inner in _contents(graph, {_GRAPH_NODE}):
                yield from _reads(inner, depth + 1)


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    """File names in the StringStringEntryProto entries of a tensor's `external_data`."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    for field, _, content in _fields(message):
        child = _FIELDS[kind].get(field)
        if content is None or child is None:
            continue
        if child != "entry":
            yield from _locations(content, child, depth + 1)
        elif "location" in _strings(content, 1):
            yield next(iter(_strings(content, 2)), "") or "unnamed"


def _strings(message: memoryview | None, *path: int) -> list[str]:
    """The strings at a path of field numbers."""
    if message is None:
        return []
    found = [message]
    for number in path:
        found = [content for part in found for content in _contents(part, {number})]
    return [bytes(content).decode("utf-8", "replace") for content in found]


def _contents(message: memoryview, numbers: Collection[int]) -> Iterator[memoryview]:
    for field, _, content in _fields(message):
        if field in numbers and content is not None:
            yield content


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview | None]]:
    """Number, all bytes, and for a length-delimited field the content, of each field."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        wire, content = tag & 7, None
        if wire == 0:
            _, position = _varint(message, position)
        elif wire in {1, 5}:
            position += 8 if wire == 1 else 4
        elif wire == 2:
            length, position = _varint(message, position)
            content = message[position : position + length]
            position += length
        else:
            raise ValueError("not a protocol buffer")
        if position > len(message):
            raise ValueError("truncated")
        yield tag >> 3, message[start:position], content


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


def _tag(field: int) -> bytes:
    return _to_varint(field << 3 | 2)


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
