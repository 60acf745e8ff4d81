"""From a model to a file that ONNX's runtimes read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.calibration_latents import calibration_latents
from taesd_stream.engine.load import Weights, load_with
from taesd_stream.engine.loaded_model import Action, coder_of
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.settings import dtype_named
from taesd_stream.errors import InputError, MissingExtraError
from taesd_stream.exporting.exported import Exported
from taesd_stream.exporting.facts import facts_of
from taesd_stream.latents.opening import Latents
from taesd_stream.models import Network, variant_named
from tiling import Size
from video.safe_files.part_file import PartFile, check_output, write_faults

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Half", "export"]

Half: TypeAlias = Literal["decoder", "encoder"]

_ACTIONS: dict[str, Action] = {"decoder": "decode", "encoder": "encode"}
_DTYPES = {torch.float32: "float32", torch.float16: "float16", torch.int8: "int8"}


def export(
    model: AutoEncoder | Weights,
    path: str | os.PathLike[str],
    *,
    half: Half = "decoder",
    dtype: str | torch.dtype = "float32",
    static: tuple[int, int] | None = None,
    variant: str | None = None,
    calibration: Latents | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a decoder or an encoder as an ONNX file (needs the extra ``onnx``).

    The graph is the plain, undivided network: what it makes of a tile with its halo is, inside the
    halo, what it makes of the whole. Batch, height and width are the caller's choice. A model for
    videos goes one step at a time, with what its layers remember as further inputs and outputs.
    Names, shapes and metadata are in docs/onnx.md. The same model makes the same bytes.

    Args:
        model: What ``load`` takes, or a loaded model.
        path: The file, of the suffix .onnx.
        half: "decoder": ``latents`` to ``images`` of about [0, 1], to be clipped by the caller;
            "encoder": ``images`` in [0, 1] to ``latents``.
        dtype: Of the weights, the inputs and the outputs: float32, float16, or, for decoders, int8,
            whose inputs and outputs are float32 (needs onnxruntime, which the extra has).
        static: (width, height) in pixels, for one picture of that size only; None is any size.
        variant: Of the model, as ``load`` takes it, where that is not loaded yet.
        calibration: For int8, what ``open_latents`` takes: as of ``load``.
        overwrite: Whether an existing file may be replaced.

    Raises:
        InputError: The model has no such half, or an option makes no sense.
        OutputExistsError: There is a file already.
        OutputError: The file cannot be written.
        MissingExtraError: onnx is not installed.

    Example:
        >>> import tempfile
        >>> import taesd_stream as ts
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = ts.export("nano", f"{folder}/decoder.onnx")
        >>> made.operators, made.outputs["images"]
        (('Add', 'Conv', 'Relu', 'Resize'), ('batch', 3, '8*height', '8*width'))
    """
    if half not in _ACTIONS:
        raise InputError(f"half: expected decoder or encoder, found {half!r}")
    target = check_output(path, overwrite=overwrite)
    if target.suffix.lower() != ".onnx":
        raise InputError(f"output: expected a name that ends in .onnx, found {str(path)!r}")
    precision = dtype_named(dtype)
    if precision not in _DTYPES:
        raise InputError(f"dtype: expected float32, float16 or int8, found {str(dtype)!r}")
    if precision == torch.int8 and half == "encoder":
        raise InputError("dtype: expected float32 or float16 for an encoder, found int8")
    _check_installed(*("onnx", "onnxruntime")[: 2 if precision == torch.int8 else 1])
    options = ModelOptions(
        variant, device="cpu", dtype="float32", backend="torch", calibration=calibration
    )
    if not isinstance(model, AutoEncoder):
        model = load_with(model, options)
    network = coder_of(model, _ACTIONS[half]).network
    if not network.local_layers:
        raise InputError(
            f"model: expected a tiny model, found {model.spec.name}, whose layers see whole planes"
            " and are not exported; diffusers' own exporters do"
        )
    facts = facts_of(model.spec, network, _DTYPES[precision])
    plane = None if static is None else _plane(static, network, model.spec.spatial_scale)
    made, decibels = _made(network, facts, plane, options)
    from taesd_stream.exporting.graphs import shapes_of

    with PartFile(target) as part:
        with write_faults(target, f"writing '{target}'"):
            part.path.write_bytes(made.SerializeToString(deterministic=True))
        size = part.path.stat().st_size
        part.publish(overwrite=overwrite)
    return Exported(
        path=target,
        size=size,
        opset=made.opset_import[0].version,
        operators=tuple(sorted({node.op_type for node in made.graph.node})),
        inputs=shapes_of(made.graph.input),
        outputs=shapes_of(made.graph.output),
        facts=facts,
        decibels=decibels,
    )


def _made(
    network: Network, facts: Mapping[str, str], plane: Size | None, options: ModelOptions
) -> tuple[ModelProto, float | None]:
    """The model, and for int8 its decibels against float32."""
    from taesd_stream.exporting.graphs import model_of

    if facts["dtype"] != "int8":
        return model_of(network, facts, dtype=facts["dtype"], static=plane), None
    from taesd_stream.exporting.quantizing import quantized

    in_a_row = bool(network.stateful)
    latents = calibration_latents(variant_named(facts["model"]), options, in_a_row=in_a_row)
    return quantized(network, facts, latents, plane)


def _check_installed(*names: str) -> None:
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(
                f"export: {name} is not installed; pip install 'taesd-stream[onnx]'"
            )


def _plane(static: object, network: Network, pixels: int) -> Size:
    """The plane that a network reads of a picture, (width, height) in pixels."""
    sides = static if isinstance(static, tuple) and len(static) == 2 else ()
    if not sides or not all(type(side) is int and side > 0 for side in sides):
        raise InputError(f"static: expected (width, height) in pixels, found {static!r}")
    width, height = sides
    if not network.decodes:
        return Size(height, width)
    if width % pixels or height % pixels:
        raise InputError(
            f"static: expected multiples of {pixels} pixels, which a latent is, found"
            f" {width}x{height}; give {_rounded_up(width, pixels)}x{_rounded_up(height, pixels)}"
        )
    return Size(height // pixels, width // pixels)


def _rounded_up(side: int, pixels: int) -> int:
    return -(-side // pixels) * pixels
