# SPDX-License-Identifier: Apache-2.0
"""`serve` on a Unix socket and on a socket that it inherits: the same server with the same keys."""
import socket
import stat

import httpx
import pytest

from conftest import ServerDidNotStart


def start(start_server, cli, session_cli, signed_models, listen, **more):
    return start_server(cli, {"mlp": signed_models / "mlp"}, "--public-key",
                        session_cli.state / "keys/signer.pub", "--listen", listen, **more)


def test_a_unix_socket_serves_those_who_have_a_key(cli, session_cli, signed_models, start_server, tmp_path):
    path = tmp_path / "s"
    server = start(start_server, cli, session_cli, signed_models, f"unix:{path}")
    assert server.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers=server.headers).status_code == 200
    with pytest.raises(ServerDidNotStart) as failed:
        start(start_server, session_cli, session_cli, signed_models, f"unix:{path}")
    assert failed.value.exit_code == 3 and "in use" in failed.value.stderr
    assert "mlxguard: hint:" in failed.value.stderr
    assert server.stop() == 0
    assert path.is_socket()  # stale now, and replaced by the next start
    again = start(start_server, cli, session_cli, signed_models, f"unix:{path}")
    assert again.stop() == 0


def test_a_file_is_never_replaced_by_a_socket(cli, session_cli, signed_models, start_server, tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ServerDidNotStart) as failed:
        start(start_server, cli, session_cli, signed_models, f"unix:{path}")
    assert failed.value.exit_code == 3 and "not a socket" in failed.value.stderr
    assert path.read_text() == "precious"


def test_a_closed_descriptor_is_a_clear_error(cli, session_cli, signed_models, start_server):
    with pytest.raises(ServerDidNotStart) as failed:
        start(start_server, cli, session_cli, signed_models, "fd://77")
    assert failed.value.exit_code == 3
    assert "descriptor 77 is not open [config.listen]" in failed.value.stderr


def test_an_inherited_socket_serves(cli, session_cli, signed_models, start_server):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        server = start(start_server, cli, session_cli, signed_models, f"fd://{listening.fileno()}",
                       pass_fds=(listening.fileno(),))
        port = listening.getsockname()[1]
        assert server.url == f"http://127.0.0.1:{port}"
        assert httpx.get(f"{server.url}/v1/models", headers=server.headers).status_code == 200
        assert server.stop() == 0


def test_an_inherited_socket_beyond_this_machine_needs_tls(cli, session_cli, signed_models, start_server):
    with socket.create_server(("0.0.0.0", 0)) as listening:
        listening.set_inheritable(True)
        with pytest.raises(ServerDidNotStart) as failed:
            start(start_server, cli, session_cli, signed_models, f"fd://{listening.fileno()}",
                  pass_fds=(listening.fileno(),))
        assert failed.value.exit_code == 2 and "[config.listen_unsafe]" in failed.value.stderr
