# SPDX-License-Identifier: Apache-2.0
"""Sources whose signers are certificates: the authority and the identity must both be the policy's, and what
is revoked or outdated signs nothing. The certificates are made by `openssl`."""
import json
import pathlib
import subprocess

import pytest


class Authority:
    """A root certificate that certifies, revokes and lists."""

    def __init__(self, folder: pathlib.Path, name: str):
        self.folder, self.root = folder / name, folder / name / "root.pem"
        self.folder.mkdir()
        (self.folder / "index.txt").touch()
        (self.folder / "config").write_text(f"""
            [ca]
            default_ca = ours
            [ours]
            database = {self.folder}/index.txt
            certificate = {self.root}
            private_key = {self.folder}/root.key
            new_certs_dir = {self.folder}
            rand_serial = yes
            default_md = sha256
            policy = any
            default_crl_days = 30
            [any]
            commonName = supplied
            """)
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                     "-subj", f"/CN={name}", "-keyout", self.folder / "root.key", "-out", self.root,
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

    def certify(self, name: str, identity: str, days: int = 30) -> pathlib.Path:
        """Folder-relative stem of NAME.key and NAME.pem."""
        stem = self.folder / name
        (self.folder / f"{name}.ext").write_text(
            f"keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\nsubjectAltName=email:{identity}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        self.openssl("ca", "-batch", "-notext", "-config", self.folder / "config", "-days", days,
                     "-extfile", f"{stem}.ext", "-in", f"{stem}.csr", "-out", f"{stem}.pem")
        (self.folder / f"{name}.key").chmod(0o600)
        return stem

    def revoke(self, stem):
        self.openssl("ca", "-config", self.folder / "config", "-revoke", f"{stem}.pem")

    def crl(self) -> pathlib.Path:
        self.openssl("ca", "-config", self.folder / "config", "-gencrl", "-out", self.folder / "crl.pem")
        return self.folder / "crl.pem"


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path, "company")


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return folder


def sign(cli, model, stem):
    cli.ok("compat", "model-signing", "sign", "certificate", model, "--signature", model / "model.sig",
           "--private_key", f"{stem}.key", "--signing_certificate", f"{stem}.pem")


def add(cli, model, authority, *args, identity="ci@example.org"):
    cli.ok("trust", "add", "s", "--path", model.parent, "--ca", authority.root, "--identity", identity, *args)


def code_of(cli, model) -> str:
    return cli.json("verify", model, exit_code=1)["error"]["code"]


def test_a_certificate_of_the_authority_with_the_identity_signs(cli, authority, model):
    sign(cli, model, authority.certify("ci", "ci@example.org"))
    add(cli, model, authority)
    checked = cli.json("trust", "check", model)
    assert checked["status"] == "allowed", checked
    signer = checked["trust"]["signers"][0]
    assert signer["kind"] == "certificate" and signer["identities"] == ["email:ci@example.org"]


def test_another_identity_of_the_same_authority_does_not(cli, authority, model):
    sign(cli, model, authority.certify("someone", "someone@example.org"))
    add(cli, model, authority)
    assert code_of(cli, model) == "certificate.identity"


def test_the_same_identity_of_another_authority_does_not(cli, authority, model, tmp_path):
    sign(cli, model, Authority(tmp_path, "others").certify("ci", "ci@example.org"))
    add(cli, model, authority)
    assert code_of(cli, model) == "certificate.untrusted"


def test_a_serial_that_the_policy_revokes(cli, authority, model):
    stem = authority.certify("ci", "ci@example.org")
    sign(cli, model, stem)
    add(cli, model, authority)
    serial = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", f"{stem}.pem"], check=True,
                            capture_output=True, text=True).stdout.strip().split("=")[1]
    policy = cli.state / "trust.toml"
    policy.write_text(policy.read_text() + f'\n[revoked]\nserials = ["{serial}"]\n')
    assert code_of(cli, model) == "certificate.revoked"


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_revocation_list_of_the_authority(cli, authority, model, form):
    good = authority.certify("ci", "ci@example.org")
    bad = authority.certify("old", "ci@example.org")
    authority.revoke(bad)
    crl = authority.crl()
    authority.openssl("crl", "-in", crl, "-outform", form, "-out", authority.folder / "list")
    add(cli, model, authority, "--crl", authority.folder / "list")
    sign(cli, model, bad)
    assert code_of(cli, model) == "certificate.revoked"
    sign(cli, model, good)
    assert cli.json("verify", model)["status"] == "verified"


def test_a_key_and_a_certificate_make_two_signers(cli, authority, model):
    cli.sign(model)
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "signer", "--ca", authority.root, "--identity",
           "ci@example.org", "--threshold", "2")
    assert code_of(cli, model) == "trust.threshold"
    stem = authority.certify("ci", "ci@example.org")
    # Beside the first: a whole bundle over the same list, wherever it was made.
    first = (model / "model.sig").read_bytes()
    sign(cli, model, stem)
    (model / "model.sig.d").mkdir()
    (model / "model.sig").rename(model / "model.sig.d" / "ci.sig")
    (model / "model.sig").write_bytes(first)
    checked = cli.json("trust", "check", model)
    assert checked["status"] == "allowed", checked
    assert sorted(one["kind"] for one in checked["trust"]["signers"]) == ["certificate", "key"]


def test_a_certificate_without_a_policy_is_nobody(cli, authority, model):
    sign(cli, model, authority.certify("ci", "ci@example.org"))
    assert code_of(cli, model) == "signature.material_unsupported"
