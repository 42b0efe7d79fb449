"""One JPEG 2000 codestream in or out of memory, through glymur's binding of OpenJPEG.

This drives `glymur.lib.openjp2` rather than `glymur.Jp2k`, for three measured reasons. `Jp2k`
switches the warning filters while it copies pixels, which is not thread-safe: after two threads
have decoded, a process may ignore every warning for good. It keeps OpenJPEG's messages in one
queue for all threads, so that an error can carry another thread's text. And it copies the pixels
three times over. The streams are byte for byte those of `Jp2k`.
"""

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from mammo_tf.codecs import openjpeg
from mammo_tf.errors import CodecError

MAX_RESOLUTIONS = 6  # OpenJPEG's and glymur's default: up to five halvings on decoding


def encode(
    image: np.ndarray,
    cratios: Sequence[float],
    *,
    bits: int | None = None,
    packet_lengths: bool = False,
    threads: int = 1,
) -> bytes:
    """Encodes `image` into one codestream with one quality layer per compression ratio.

    Args:
        image: (height, width) uint8 or uint16.
        cratios: Decreasing compression ratios, against the bits of the container; a last 1 makes
            the stream lossless.
        bits: Depth that the stream says; no pixel may need more. None for the container's 8 or 16,
            as in the ladder.
        packet_lengths: Whether to write PLT markers.
        threads: Threads inside OpenJPEG.

    Returns:
        A raw codestream (.j2k): reversible 5/3 wavelet, one tile, layer by layer (LRCP).

    Raises:
        CodecError: If OpenJPEG fails.
    """
    openjpeg.configure()
    from glymur.lib import openjp2

    listener = _Listener(openjp2)
    with _memory_file() as file, contextlib.ExitStack() as stack:
        container = 8 * image.dtype.itemsize
        bits = bits or container
        # OpenJPEG counts against the depth that the stream says.
        rates = [1 if cratio == 1 else cratio * bits / container for cratio in cratios]
        parameters = _encoder_parameters(openjp2, image.shape, rates)
        raw = _new_image(openjp2, image, bits)
        stack.callback(openjp2.image_destroy, raw)
        codec = openjp2.create_compress(openjp2.CODEC_J2K)
        stack.callback(openjp2.destroy_codec, codec)
        listener.attach(codec)
        with listener.failure("encode"):
            openjp2.setup_encoder(codec, parameters, raw)
            if packet_lengths:
                openjp2.encoder_set_extra_options(codec, plt=True)
            openjp2.codec_set_threads(codec, threads)
            # The stream is closed, hence flushed, before the file is read.
            with _stream(openjp2, file.path, read=False) as stream:
                openjp2.start_compress(codec, raw, stream)
                openjp2.encode(codec, stream)
                openjp2.end_compress(codec, stream)
        return file.read()


def decode(codestream: bytes, *, reduce: int = 0, threads: int = 1) -> np.ndarray:
    """Decodes all the layers of a raw codestream with one component.

    The caller has checked the header (`mammo_tf.codecs.codestream`): OpenJPEG allocates what it
    says. Whatever OpenJPEG warns about is damage here, since no warning belongs to our streams.

    Args:
        codestream: A .j2k file's bytes.
        reduce: How many times to halve the resolution.
        threads: Threads inside OpenJPEG.

    Returns:
        (ceil(height / 2**reduce), ceil(width / 2**reduce)) uint8 or uint16.

    Raises:
        CodecError: If OpenJPEG fails or warns.
    """
    openjpeg.configure()
    from glymur.lib import openjp2

    listener = _Listener(openjp2)
    with _memory_file(codestream) as file, contextlib.ExitStack() as stack:
        stream = stack.enter_context(_stream(openjp2, file.path, read=True))
        codec = openjp2.create_decompress(openjp2.CODEC_J2K)
        stack.callback(openjp2.destroy_codec, codec)
        listener.attach(codec)
        with listener.failure("decode"):
            parameters = openjp2.set_default_decoder_parameters()
            parameters.cp_reduce = reduce
            openjp2.setup_decoder(codec, parameters)
            openjp2.codec_set_threads(codec, threads)
            raw = openjp2.read_header(stream, codec)
            stack.callback(openjp2.image_destroy, raw)
            openjp2.set_decode_area(codec, raw)
            openjp2.decode(codec, stream, raw)
            openjp2.end_decompress(codec, stream)
        if listener.messages:
            raise CodecError(
                f"The JPEG 2000 stream is damaged: OpenJPEG says {listener.messages[0]!r}."
            )
        return _pixels(raw.contents.comps[0])


def _encoder_parameters(openjp2, shape: tuple[int, int], rates: Sequence[float]):
    parameters = openjp2.set_default_encoder_parameters()
    parameters.codec_fmt = openjp2.CODEC_J2K
    # OpenJPEG refuses more resolutions than the shorter side has powers of two.
    parameters.numresolution = min(MAX_RESOLUTIONS, min(shape).bit_length())
    parameters.tcp_numlayers = len(rates)
    for layer, rate in enumerate(rates):
        parameters.tcp_rates[layer] = rate
    parameters.cp_disto_alloc = 1
    return parameters


def _new_image(openjp2, image: np.ndarray, bits: int):
    height, width = image.shape
    component = (openjp2.ImageComptParmType * 1)()
    component[0].dx = component[0].dy = 1
    component[0].w, component[0].h = width, height
    component[0].prec = component[0].bpp = bits
    raw = openjp2.image_create(component, openjp2.CLRSPC_GRAY)
    if not raw:
        raise CodecError(f"OpenJPEG has no memory for an image of {height}×{width} pixels.")
    raw.contents.x1, raw.contents.y1 = width, height
    _view(raw.contents.comps[0])[...] = image
    return raw


def _view(component) -> np.ndarray:
    """OpenJPEG's own pixels as a (height, width) int32 array, without a copy."""
    height, width = component.h, component.w
    if not component.data or not height or not width:
        raise CodecError("The JPEG 2000 stream is damaged: OpenJPEG returned no pixels.")
    address = ctypes.addressof(component.data.contents)
    buffer = (ctypes.c_int32 * (height * width)).from_address(address)
    return np.frombuffer(buffer, np.int32).reshape(height, width)


def _pixels(component) -> np.ndarray:
    return _view(component).astype(np.uint8 if component.prec <= 8 else np.uint16)


class _Listener:
    """Collects OpenJPEG's errors and warnings for one codec alone; outlives the codec."""

    def __init__(self, openjp2):
        self.messages: list[str] = []
        self._openjp2 = openjp2
        self._callback = openjp2._CMPFUNC(self._note)

    def _note(self, message, _):
        self.messages.append(message.decode("utf-8", "replace").strip())

    def attach(self, codec) -> None:
        self._openjp2.set_error_handler(codec, self._callback)
        self._openjp2.set_warning_handler(codec, self._callback)
        self._openjp2.set_info_handler(codec, None)

    @contextlib.contextmanager
    def failure(self, action: str) -> Iterator[None]:
        try:
            yield
        except self._openjp2.OpenJPEGLibraryError as error:
            reason = f" It says {self.messages[0]!r}." if self.messages else ""
            raise CodecError(f"OpenJPEG could not {action} the image.{reason}") from error


@contextlib.contextmanager
def _stream(openjp2, path: str, *, read: bool) -> Iterator[int]:
    stream = openjp2.stream_create_default_file_stream(path, read)
    if not stream:
        raise CodecError(f"OpenJPEG could not open its memory file {path}.")
    try:
        yield stream
    finally:
        openjp2.stream_destroy(stream)


class _MemoryFile:
    """A file in memory that has a path.

    `memfd_create` on Linux. Elsewhere a temporary file, in /dev/shm where there is one and else
    in the usual temporary folder: OpenJPEG reads and writes paths.
    """

    def __init__(self):
        self._temporary = None
        if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
            self._handle = os.memfd_create("mammo-tf")
            self.path = f"/proc/self/fd/{self._handle}"
        else:
            folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            self._handle, self.path = tempfile.mkstemp(prefix="mammo-tf-", dir=folder)
            self._temporary = self.path

    def write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._handle, view) :]

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()

    def close(self) -> None:
        os.close(self._handle)
        if self._temporary:
            os.unlink(self._temporary)


@contextlib.contextmanager
def _memory_file(content: bytes = b"") -> Iterator[_MemoryFile]:
    file = _MemoryFile()
    try:
        file.write(content)
        yield file
    finally:
        file.close()
