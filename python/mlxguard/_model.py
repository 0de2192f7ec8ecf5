# SPDX-License-Identifier: Apache-2.0
"""A verified model and how its sealed bytes reach mlx and programs that want a folder."""
from __future__ import annotations

import contextlib
import os
import pathlib
import posixpath
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Iterator, Union

from ._errors import Failed, FileMissing, UsageError

if TYPE_CHECKING:
    import mlx.core as mx

    from . import _core

Place = Union[str, "os.PathLike[str]"]

SIGNATURE = "model.sig"
STORE = "store:"
# Folders of verified files that exist now (VerifiedModel.folder).
verified_roots: set[pathlib.PurePath] = set()
FORMATS = {".safetensors": "safetensors", ".npz": "npz", ".npy": "npy", ".gguf": "gguf"}


def find(file: Place) -> tuple[pathlib.Path, str]:
    """The model that a file belongs to, and its name there: a file with FILE.sig beside it is a model by
    itself ("."), else the model is the nearest folder above that holds a signature, or "store:NAME" in
    "store:NAME/FILE". Neither: the file's folder, which verification then refuses as unsigned."""
    if not isinstance(file, (str, os.PathLike)):
        raise UsageError(f"expected the path of a file, found {type(file).__name__}", code="usage", number=1100,
                         hint="what is open already cannot be verified: give the path")
    file = pathlib.Path(file)
    if file.parts and file.parts[0].startswith(STORE):
        return pathlib.Path(file.parts[0]), posixpath.normpath("/".join(file.parts[1:]) or ".")
    if file.is_dir():
        raise UsageError("expected a file of a model, found a folder", code="usage", number=1100, subject=str(file),
                         hint="mlxguard.open_model(FOLDER) verifies all of it, for several load()")
    if file.with_name(file.name + ".sig").is_file():
        return file, "."
    above = pathlib.Path.cwd() / file  # the signature may lie above the current folder
    for folder in above.parents:
        if (folder / SIGNATURE).is_file():
            # Without links, which a model has not, this is the file that the system would open.
            return folder, posixpath.normpath(above.relative_to(folder).as_posix())
    return file.parent, file.name


def find_folder(path: Place) -> tuple[pathlib.Path, str]:
    """The model that a folder belongs to, and the folder's name there ("." for all of it): the nearest folder
    from it upwards that holds a signature, or "store:NAME" in "store:NAME/FOLDER". None: the folder itself."""
    path = pathlib.Path(path)
    if path.parts and path.parts[0].startswith(STORE):
        return pathlib.Path(path.parts[0]), posixpath.normpath("/".join(path.parts[1:]) or ".")
    whole = pathlib.Path(os.path.abspath(path))
    for folder in (whole, *whole.parents):
        if (folder / SIGNATURE).is_file():
            return (path if folder == whole else folder), whole.relative_to(folder).as_posix()
    return path, "."


# mlx's own functions, however a program replaces them in mlx.core afterwards.
_functions: dict[str, Any] = {}


def mlx_function(name: str) -> Any:
    """mlx.core's own function. A program may have put mlxguard's in its place."""
    found = getattr(mlx_module(), name)
    if not getattr(found, "_is_mlxguards", False):
        _functions[name] = found
    elif name not in _functions:
        raise UsageError(f"mx.{name} was replaced by mlxguard's before mlxguard could see mlx's own", code="usage",
                         number=1100, hint="import mlx.core before mlxguard, or use `with mlxguard.patch():`")
    return _functions[name]


def mlx_module() -> Any:
    """mlx.core, or an error that says what is missing: on Linux mlx comes apart from what it computes on."""
    try:
        import mlx.core
    except ImportError as problem:
        raise Failed(f"mlx cannot be imported: {problem}", code="engine.load", number=701,
                     hint="pip install 'mlx[cpu]', or 'mlx[cuda12]' for a GPU") from problem
    return mlx.core


class VerifiedModel:
    """Proof that these bytes were signed by someone trusted; only a Guard makes one. What was loaded from it
    outlives it."""

    def __init__(self, core: _core.Model, path: Place):
        self._core = core
        self._path_name = pathlib.PurePath(path).name
        self._files = {file.name: file for file in core.files}

    def __repr__(self) -> str:
        return f"<mlxguard.VerifiedModel {self.name} {self.root_digest[:12]}, {len(self._files)} files>"

    @property
    def name(self) -> str:
        """What the event log calls it."""
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

    def load(self, name: str, format: str | None = None, return_metadata: bool = False, *,
             stream: mx.Stream | mx.Device | mx.DeviceType | None = None) -> Any:
        """mlx.core.load on the verified bytes, after a strict check of the file's structure."""
        load = mlx_function("load")
        file = self._file(name)
        format = format or self._format(name)
        if format not in FORMATS.values():
            raise UsageError(f"not a kind of file that mlx loads; expected one of {', '.join(FORMATS)}", code="usage",
                             number=1100, subject=name, hint="format= says what it is, whatever its name")
        self.check_structure(name, format)
        options = {"format": format, "return_metadata": return_metadata, "stream": stream}
        if format != "gguf":
            return load(self._path(file), **options)
        with self._private_copy(file) as path:
            return load(path, **options)

    def import_function(self, name: str) -> Any:
        """mlx.core.import_function on the verified bytes, after a strict check of the file's structure."""
        import_function = mlx_function("import_function")
        self.check_structure(name, "mlxfn")
        return import_function(self._path(self._file(name)))

    def check_structure(self, name: str, format: str = "") -> None:
        """Raises FormatRefused for a file whose header mlx should not be given. Without `format` the name says
        what kind of file it is, and other kinds pass."""
        self._file(name)
        self._core.check_structure(name, format or self._format(name))

    @contextlib.contextmanager
    def folder(self) -> Iterator[pathlib.Path]:
        """A folder, only for this user, whose files are the sealed bytes: for libraries that want paths.
        It is gone after the `with`; what opened a file before that keeps it. Raises FormatRefused where one of
        the files is one that mlx should not be given: nobody looks at them again."""
        for name in self._files:
            self.check_structure(name)
        root = pathlib.Path(tempfile.mkdtemp(prefix="mlxguard-"))  # 0700
        try:
            for name, file in self._files.items():
                link = root / self._leaf(name)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(self._path(file))
            verified_roots.add(root)
            yield root
        finally:
            verified_roots.discard(root)
            shutil.rmtree(root)

    def _leaf(self, name: str) -> str:
        """Of a model that is a single file, that file's own name: the event log may call it anything."""
        return self._path_name if name == "." else name

    def _format(self, name: str) -> str:
        suffix = pathlib.PurePosixPath(self._leaf(name)).suffix
        return "mlxfn" if suffix == ".mlxfn" else FORMATS.get(suffix, "")

    def _file(self, name: str) -> _core.File:
        try:
            return self._files[name]
        except KeyError:
            raise FileMissing("the signed model has no such file", code="artifact.not_found", number=406, subject=name,
                              hint="VerifiedModel.files lists those that it has") from None

    @contextlib.contextmanager
    def _private_copy(self, file: _core.File) -> Iterator[str]:
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
    def _path(file: _core.File) -> str:
        # Opening this makes a new description of the same sealed memory, with a position of its own.
        return f"/proc/{os.getpid()}/fd/{file.descriptor}"
