"""What specs name, files and networks: is it there? Asked before torch is loaded, and again by who reads it."""

from __future__ import annotations

from pathlib import Path

from encoders.errors import EncoderError, one_line
from encoders.names import check_name, remembered
from encoders.parsing import Spec, parse_architecture, parse_spec


def check_spec(text: str, *, networks: bool = True) -> Spec:
    """Take a spec apart, and see that what it names is there, the file, or the network as far as names are remembered.

    Args:
        text: The spec.
        networks: Whether the names of networks are looked up.

    Raises:
        EncoderError: As `parse_spec`, or if it is not there.
    """
    spec = parse_spec(text)
    if spec.kind.file:
        CHECKS[spec.kind.file](spec)
    if networks:
        check_network(parse_architecture(spec.items["arch"], {}) if spec.kind.file == "checkpoint" else spec)
    return spec


def check_network(spec: Spec) -> None:
    """Refuse a spec whose library does not have its network, if that is known without the library."""
    names = remembered(spec.kind) if spec.kind.names else None
    if names is not None:
        check_name(spec.kind.prefix, spec.name, spec.pretrained, names)


def check_checkpoint(spec: Spec) -> None:
    """Refuse a `file:` spec without a network, or without a file."""
    check_architecture(spec)
    checkpoint_file(spec.name)


def check_architecture(spec: Spec) -> None:
    """Refuse a `file:` spec that does not name the network."""
    if not spec.items.get("arch"):
        raise EncoderError(
            f"encoder 'file:{spec.name}' needs the network's name: file:{spec.name}?arch=resnet50, or any timm "
            "name, or arch=torchvision:NAME"
        )


def checkpoint_file(path: str | Path) -> Path:
    """The file of a checkpoint, with ~ written out; errors as for `file_named`."""
    return file_named(path, "checkpoint")


def file_named(path: str | Path, what: str) -> Path:
    """A file, with ~ written out.

    Raises:
        EncoderError: If it is none; `what` is what it was taken for.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        problem = "is a folder: name the file in it" if file.is_dir() else "is not there: check the path"
        raise EncoderError(f"{what} must be a file; got {str(file)!r}, which {problem}")
    return file


def check_graph(spec: Spec) -> None:
    """Refuse an `onnx:` spec whose file cannot be opened."""
    try:
        with Path(spec.name).expanduser().open("rb"):
            pass
    except OSError as error:
        raise no_graph(spec.text, error) from error


def no_graph(name: str, error: Exception) -> EncoderError:
    """The error for an ONNX file that cannot be read; `name` is the encoder's."""
    return EncoderError(f"encoder {name!r} must name an ONNX file that can be read ({one_line(error)}): check the path")


def check_repair(spec: Spec) -> None:
    """Refuse a `repaired:` spec without a file."""
    file_named(spec.name, "repair")


CHECKS = {"checkpoint": check_checkpoint, "graph": check_graph, "repair": check_repair}
