# SPDX-License-Identifier: Apache-2.0
"""Signatures by certificate on the model line: the trust policy names authority and identity, and only then does
`mlxguard verify` believe one. The signer is `mlxguard compat`, or the Python package."""
import pytest

from model_signing_peer import new_chain, revocations, sign, write_model


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return new_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture
def model(cli, chain, tmp_path):
    model = write_model(tmp_path / "models/m", {"weights.bin": b"1", "config.json": b"{}"})
    sign(model, model / "model.sig", chain=chain)
    return model


def policy(cli, chain, model, in_source="", identity="email:release@example.org", version=1):
    (cli.state / "trust.toml").write_text(
        f"version = {version}\n[sources.s]\npath = '{model.parent}'\n{in_source}\n"
        f"[[sources.s.signers]]\nca = '{chain['root']}'\nidentity = '{identity}'\n")


def code(cli, model):
    done = cli.run("verify", model, "--json")
    import json
    return (json.loads(done.stdout).get("error") or {}).get("code")


def test_without_a_policy_no_certificate_is_believed(cli, model):
    assert code(cli, model) == "signature.material_unsupported"


def test_authority_and_identity_decide(cli, chain, model, tmp_path):
    policy(cli, chain, model)
    answer = cli.json("verify", model)
    assert answer["status"] == "verified"
    policy(cli, chain, model, identity="email:somebody@example.org", version=2)
    assert code(cli, model) in ("certificate.identity", "trust.signer")
    policy(cli, new_chain(tmp_path), model, version=3)
    assert code(cli, model) == "certificate.untrusted"
    policy(cli, chain, model, version=4)
    assert code(cli, model) is None
    (model / "weights.bin").write_bytes(b"2")
    assert code(cli, model) == "signature.digest_mismatch"


def test_revocation_lists_of_the_policy(cli, chain, model, tmp_path):
    root, good = revocations(chain, tmp_path, "root"), revocations(chain, tmp_path, "intermediate")
    policy(cli, chain, model, f"crls = ['{root}', '{good}']")
    assert code(cli, model) is None
    policy(cli, chain, model, f"crls = ['{good}']", version=2)
    assert code(cli, model) == "certificate.crl"
    bad = revocations(chain, tmp_path, "intermediate", revoked=chain["leaf"])
    policy(cli, chain, model, f"crls = ['{root}', '{bad}']", version=3)
    assert code(cli, model) == "certificate.revoked"
    policy(cli, chain, model, f"crls = ['{tmp_path}/missing']", version=4)
    assert cli.run("verify", model).returncode != 0


def test_a_certificate_of_ours_is_believed_too(cli, chain, model):
    policy(cli, chain, model)
    (model / "model.sig").unlink()
    cli.ok("compat", "model-signing", "sign", "certificate", "--private-key", chain["leaf_key"], "--signing-certificate",
           chain["leaf"], "--certificate-chain", chain["intermediate"], "--signature", model / "model.sig", model)
    assert code(cli, model) is None


def test_a_further_signer_signs_beside_a_certificate(cli, chain, model):
    policy(cli, chain, model)
    cli.ok("sign", model, "--key", "signer", "--add", "--passphrase-file", cli.passphrase_file)
    assert (model / "model.sig.d/signer.sig").exists()
    with (cli.state / "trust.toml").open("a") as file:
        file.write("[[sources.s.signers]]\nkey = 'signer'\n")
    text = (cli.state / "trust.toml").read_text().replace("version = 1\n", "version = 2\n", 1)
    (cli.state / "trust.toml").write_text(text.replace("[sources.s]\n", "[sources.s]\nthreshold = 2\n"))
    assert code(cli, model) is None
    (model / "model.sig.d/signer.sig").unlink()
    assert code(cli, model) == "trust.threshold"
