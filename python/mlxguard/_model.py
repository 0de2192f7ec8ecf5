# SPDX-License-Identifier: Apache-2.0
"""A verified model and how its sealed bytes reach mlx and programs that want a folder."""
import contextlib
import os
import pathlib
import shutil
import tempfile

SIGNATURE = "model.sig"
FORMATS = {".safetensors": "safetensors", ".npz": "npz", ".npy": "npy", ".gguf": "gguf"}


def model_root(file: pathlib.Path) -> pathlib.Path:
    """The model that a file belongs to: itself with FILE.sig beside it, or the nearest folder above
    that holds a signature. Neither: the file's folder, which verification then refuses as unsigned."""
    if file.is_dir() or file.with_name(file.name + ".sig").is_file():
        return file
    for folder in file.parents:
        if (folder / SIGNATURE).is_file():
            return folder
    return file.parent


class VerifiedModel:
    """Proof that these bytes were signed by someone trusted; only a Guard makes one."""

    def __init__(self, core):
        self._core = core
        self._files = {file.name: file for file in core.files}

    @property
    def name(self) -> str:
        return self._core.name

    @property
    def root_digest(self) -> str:
        """Lowercase hex SHA-256 over the signed digests: the model's identity."""
        return self._core.root_digest

    @property
    def signer(self) -> str:
        """Fingerprint of the signer's key."""
        return self._core.signer

    @property
    def files(self) -> dict[str, int]:
        """Sizes in bytes, by name."""
        return {name: file.size for name, file in self._files.items()}

    def read(self, name: str) -> bytes:
        """The verified bytes of one file."""
        file = self._file(name)
        with open(self._path(file), "rb") as stream:
            return stream.read()

    def load(self, name, format=None, return_metadata=False, *, stream=None):
        """mlx.core.load on the verified bytes, after a strict check of the file's structure."""
        import mlx.core as mx
        file = self._file(name)
        format = format or FORMATS.get(pathlib.PurePosixPath(name).suffix)
        if format is None:
            raise ValueError(f"{name}: not a kind of file that mlx loads; expected one of {', '.join(FORMATS)}")
        self.check_structure(name, format)
        options = {"format": format, "return_metadata": return_metadata, "stream": stream}
        if format != "gguf":
            return mx.load(self._path(file), **options)
        with self._private_copy(file) as path:
            return mx.load(path, **options)

    def check_structure(self, name, format=""):
        """Raises FormatRefused for a file whose header mlx should not be given."""
        self._file(name)
        self._core.check_structure(name, format)

    @contextlib.contextmanager
    def folder(self):
        """A folder, only for this user, whose files are the sealed bytes: for libraries that want paths.
        It is gone after the `with`; what opened a file before that keeps it."""
        root = pathlib.Path(tempfile.mkdtemp(prefix="mlxguard-"))  # 0700
        try:
            for name, file in self._files.items():
                link = root / (self.name if name == "." else name)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(self._path(file))
            yield root
        finally:
            shutil.rmtree(root)

    def _file(self, name):
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(f"{name}: the signed model has no such file") from None

    @contextlib.contextmanager
    def _private_copy(self, file):
        """mlx's GGUF reader maps its file for writing, which sealed memory refuses. It copies what it reads
        before it returns: the copy has no name, and only this process has it for that long."""
        descriptor = os.memfd_create("mlxguard-gguf", os.MFD_CLOEXEC)
        try:
            position = 0
            with open(self._path(file), "rb") as source:
                while position < file.size:
                    position += os.sendfile(descriptor, source.fileno(), position, file.size - position)
            yield f"/proc/{os.getpid()}/fd/{descriptor}"
        finally:
            os.close(descriptor)

    @staticmethod
    def _path(file) -> str:
        # Opening this makes a new description of the same sealed memory, with a position of its own.
        return f"/proc/{os.getpid()}/fd/{file.descriptor}"
