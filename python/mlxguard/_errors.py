# SPDX-License-Identifier: Apache-2.0
"""Typed exceptions. `code` is stable and never reused: match on it, not on the words."""


class MlxguardError(Exception):
    """What every error of mlxguard is."""

    def __init__(self, message, *, code="", number=0, subject="", expected="", actual="", hint=""):
        super().__init__(message)
        self.message = message
        self.code = code
        self.number = number
        self.subject = subject
        self.expected = expected
        self.actual = actual
        self.hint = hint

    def __str__(self):
        text = f"{self.subject}: {self.message}" if self.subject else self.message
        if self.expected or self.actual:
            text += f" (expected {self.expected or 'nothing'}, found {self.actual or 'nothing'})"
        return f"{text} [{self.code}]" + (f"\nhint: {self.hint}" if self.hint else "")

    def __reduce__(self):
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
    """The model is signed, and has no file of this name."""


KIND_REFUSED, KIND_USAGE = 1, 2
SIGNER_CODES = {"signature.untrusted_key", "key.revoked", "key.expired"}


def _refused(number, code):
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


def make(kind, number, code, message, subject, expected, actual, hint):
    """The exception for an error of the library."""
    if kind == KIND_REFUSED:
        type_ = _refused(number, code)
    else:
        type_ = UsageError if kind == KIND_USAGE else Failed
    return type_(message, code=code, number=number, subject=subject, expected=expected, actual=actual,
                 hint=hint)


def _rebuild(type_, message, members):
    error = type_(message)
    error.__dict__.update(members)
    return error
