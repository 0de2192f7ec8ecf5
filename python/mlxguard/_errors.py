# SPDX-License-Identifier: Apache-2.0
"""Typed exceptions. `code` is stable and never reused: match on it, not on the words."""
from __future__ import annotations

from typing import Any


class MlxguardError(Exception):
    """What every error of mlxguard is."""

    message: str
    code: str  # such as "signature.digest_mismatch"
    number: int  # of the code: 5xx signature, 6xx format, 12xx trust policy
    subject: str  # the file or tensor it is about; may be empty
    expected: str
    actual: str
    hint: str
    model: str  # the path of the model that it is about, as the caller gave it
    part: str  # "model" or "adapter", where a call was given both

    def __init__(self, message: str, *, code: str = "", number: int = 0, subject: str = "", expected: str = "",
                 actual: str = "", hint: str = ""):
        super().__init__(message)
        self.message = message
        self.code = code
        self.number = number
        self.subject = subject
        self.expected = expected
        self.actual = actual
        self.hint = hint
        self.model = self.part = ""

    def __str__(self) -> str:
        subject = "" if self.subject == self.model else self.subject
        about = [f"adapter {self.model}" if self.part == "adapter" else self.model, subject]
        text = ": ".join([one for one in about if one] + [self.message])
        if self.expected or self.actual:
            text += f" (expected {self.expected or 'nothing'}, found {self.actual or 'nothing'})"
        return f"{text} [{self.code}]" + (f"\nhint: {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__.copy())


class Refused(MlxguardError):
    """mlxguard looked, and said no."""


class ArtifactRefused(Refused):
    """The folder itself: links, special files, names, changes while it was read."""


class SignatureRefused(Refused):
    """No signature, a broken one, or files that are not what was signed."""


class SignerRefused(SignatureRefused):
    """A good signature by someone who is not trusted: unknown key or certificate, revoked, expired."""


class PolicyRefused(Refused):
    """Signed, and refused by the trust policy."""


class PolicyWarning(UserWarning):
    """The trust policy found something wrong with a model of a source that only warns."""


class FormatRefused(Refused):
    """A file whose structure mlx should not be given."""


class UsageError(MlxguardError, ValueError):
    """Wrong arguments or configuration."""


class Failed(MlxguardError):
    """It could not be found out: a file is missing, the disk is full."""


class FileMissing(Failed, FileNotFoundError):
    """There is no such model, or it is signed and has no file of this name."""


KIND_REFUSED, KIND_USAGE = 1, 2
MISSING_CODES = {"artifact.not_found", "store.not_found"}
# The library names its own members in hints.
ARGUMENTS = {"Options::public_keys": "public_keys=[FILE]", "Options::state": "state=", "Options::config": "config="}
SIGNER_CODES = {"signature.untrusted_key", "key.revoked", "key.expired"}


def _refused(number: int, code: str) -> type[Refused]:
    if code in SIGNER_CODES or 530 <= number < 540:
        return SignerRefused
    if 400 <= number < 500:
        return ArtifactRefused
    if 500 <= number < 600:
        return SignatureRefused
    if 600 <= number < 800:
        return FormatRefused
    if 1200 <= number < 1300:
        return PolicyRefused
    return Refused


def make(kind: int, number: int, code: str, message: str, subject: str, expected: str, actual: str,
         hint: str) -> MlxguardError:
    """The exception for an error of the library."""
    type_: type[MlxguardError]
    if kind == KIND_REFUSED:
        type_ = _refused(number, code)
    elif kind == KIND_USAGE:
        type_ = UsageError
    else:
        type_ = FileMissing if code in MISSING_CODES else Failed
    for member, argument in ARGUMENTS.items():
        hint = hint.replace(member, argument)
    return type_(message, code=code, number=number, subject=subject, expected=expected, actual=actual,
                 hint=hint)


def _rebuild(type_: type[MlxguardError], message: str, members: dict[str, Any]) -> MlxguardError:
    error = type_(message)
    error.__dict__.update(members)
    return error
