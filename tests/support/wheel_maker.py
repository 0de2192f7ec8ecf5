# SPDX-License-Identifier: Apache-2.0
"""Wheels, environments and hostile archives for tests, made without an index."""
import base64
import hashlib
import pathlib
import struct
import zipfile


def record_hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def metadata(name, version, requires=(), extra="") -> str:
    lines = [f"Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    return "\n".join(lines) + "\n" + extra + "\n"


def files_of(name, version, requires=(), files=None) -> dict:
    """Paths and bytes of an installed distribution, its RECORD included."""
    info = f"{name}-{version}.dist-info"
    content = {f"{name}/__init__.py": b"", **(files or {}),
               f"{info}/METADATA": metadata(name, version, requires).encode(),
               f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    content = {path: data.encode() if isinstance(data, str) else data for path, data in content.items()}
    rows = [f"{path},{record_hash(data)},{len(data)}" for path, data in content.items()]
    content[f"{info}/RECORD"] = ("\n".join(rows) + f"\n{info}/RECORD,,\n").encode()
    return content


def wheel(folder: pathlib.Path, name, version, requires=(), files=None) -> pathlib.Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files_of(name, version, requires, files).items():
            archive.writestr(member, data)
    return path


def environment(folder: pathlib.Path, packages) -> pathlib.Path:
    """A virtual environment's folder with these packages: (name, version, requires[, files])."""
    site = folder / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\ninclude-system-site-packages = false\n")
    for package in packages:
        install(site, *package)
    return folder


def install(site: pathlib.Path, name, version, requires=(), files=None):
    for path, data in files_of(name, version, requires, files).items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def repack(site: pathlib.Path, name: str, tag: str, folder: pathlib.Path) -> pathlib.Path:
    """The wheel that an installed distribution came from, as far as its RECORD tells."""
    info = next(site.glob(f"{name.replace('-', '_')}-*.dist-info"))
    path = folder / f"{info.name.removesuffix('.dist-info')}-{tag}.whl"
    rows = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for row in (info / "RECORD").read_text().splitlines():
            member, rest = row.rsplit(",", 2)[0], row.rsplit(",", 2)[1:]
            outside = member.startswith("..") or member.endswith(".pyc")
            if outside or pathlib.PurePath(member).name in ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json"):
                continue
            archive.write(site / member, member)
            rows.append(",".join([member, *rest]))
        archive.writestr(f"{info.name}/RECORD", "\n".join(rows) + f"\n{info.name}/RECORD,,\n")
    return path


def local_header_patch(path: pathlib.Path, old: bytes, new: bytes):
    """Replaces a name (of the same length) in all headers of an archive."""
    assert len(old) == len(new)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def zip_with_sizes(path: pathlib.Path, name: str, claimed: int):
    """An archive whose one entry says that it unpacks to `claimed` bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[22:26] = struct.pack("<I", claimed)
    data[directory + 24:directory + 28] = struct.pack("<I", claimed)
    path.write_bytes(data)
