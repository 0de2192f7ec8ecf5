// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

using namespace mlxguard;
using config::parse;

namespace {

/// The name of every setting that a group declares.
struct KeyNames {
  std::vector<std::string> names;
  void add(SettingKey key) { names.emplace_back(key.name); }
  void integer(SettingKey key, const auto&, SettingBounds) { add(key); }
  void flag(SettingKey key, const auto&) { add(key); }
  void text(SettingKey key, const auto&) { add(key); }
  void path(SettingKey key, const auto&) { add(key); }
  void paths(SettingKey key, const auto&) { add(key); }
  void fingerprint(SettingKey key, const auto&) { add(key); }
  void choice(SettingKey key, const auto&, const auto&) { add(key); }
};

}  // namespace

TEST_CASE("config: values replace defaults, relative paths are the file's") {
  const auto config = parse(R"(
    [server]
    listen = "127.0.0.1:9000"
    state = "state"
    [models]
    minilm = "models/minilm"
    [limits]
    queue_max = 3
    [isolation]
    minimum = "full"
  )",
                            "/etc/mlxguard")
                          .value();
  CHECK(config.server.listen == "127.0.0.1:9000");
  CHECK(config.server.state == "/etc/mlxguard/state");
  CHECK(config.models.at(0).path == "/etc/mlxguard/models/minilm");
  CHECK(config.queue.queue_max == 3);
  CHECK(config.isolation.minimum == config::IsolationLevel::kFull);
}

TEST_CASE("config: an unknown key or table is an error that names it") {
  const auto unknown = parse("[limits]\nbody_bytes = 3\n", ".");
  CHECK(unknown.error().code == ErrorCode::kConfigUnknownKey);
  CHECK(unknown.error().subject == "limits.body_bytes");
  CHECK(parse("[limitz]\n", ".").error().code == ErrorCode::kConfigUnknownKey);
  CHECK(parse("listen = 'x'\n", ".").error().code == ErrorCode::kConfigUnknownKey);
}

TEST_CASE("config: what cannot be read is no empty configuration") {
  CHECK(config::load("/").error().code == ErrorCode::kIo);
  CHECK(config::load("/nonexistent/mlxguard.toml").error().code == ErrorCode::kNotFound);
}

TEST_CASE("config: a value of another type or out of range is refused") {
  CHECK(parse("[limits]\nqueue_max = '3'\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[limits]\nqueue_max = -1\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[limits]\nqueue_max = 1.5\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[isolation]\nminimum = 'none'\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[server\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[models]\n'../x' = 'y'\n", ".").error().code == ErrorCode::kConfig);
}

TEST_CASE("listen: Unix sockets are local, inherited descriptors are judged when they are there") {
  CHECK(http::parse_listen("unix:/run/x.sock").value().unix_path == "/run/x.sock");
  CHECK(http::parse_listen("unix:/run/x.sock").value().loopback);
  CHECK(http::parse_listen("fd://3").value().inherited_fd == 3);
  for (const char* wrong : {"unix:", "fd://", "fd://2", "fd://-1", "fd://3x", "fd://99999999999"}) {
    CAPTURE(wrong);
    CHECK(http::parse_listen(wrong).error().code == ErrorCode::kConfig);
  }
  config::ServeConfig config;
  config.server.listen = "unix:/run/x.sock";
  CHECK(config::check_exposure(config).has_value());
  config.server.listen = "fd://3";
  CHECK(config::check_exposure(config).has_value());
  CHECK(config::check_exposure(config, http::Reach::kNetwork).error().code ==
        ErrorCode::kListenUnsafe);
  CHECK(config::check_exposure(config, http::Reach::kThisMachine).has_value());
}

TEST_CASE("listen: only literal addresses, loopback told apart") {
  CHECK(http::parse_listen("127.0.0.1:8443").value().loopback);
  CHECK(http::parse_listen("[::1]:1").value().loopback);
  CHECK(!http::parse_listen("0.0.0.0:1").value().loopback);
  CHECK(!http::parse_listen("[::]:1").value().loopback);
  CHECK(http::parse_listen("example:1").error().code == ErrorCode::kConfig);
  CHECK(http::parse_listen("127.0.0.1:70000").error().code == ErrorCode::kConfig);
  CHECK(http::parse_listen("127.0.0.1").error().code == ErrorCode::kConfig);
}

TEST_CASE("exposure: beyond loopback both TLS and keys are needed") {
  config::ServeConfig config;
  CHECK(config::check_exposure(config).has_value());
  config.server.listen = "0.0.0.0:8443";
  CHECK(config::check_exposure(config).error().code == ErrorCode::kListenUnsafe);
  config.tls.certificate = "c";
  CHECK(config::check_exposure(config).error().code == ErrorCode::kConfig);
  config.tls.private_key = "k";
  CHECK(config::check_exposure(config).has_value());
  config.server.allow_anonymous = true;
  CHECK(config::check_exposure(config).error().code == ErrorCode::kListenUnsafe);
}

TEST_CASE("models: the short form and the table say the same") {
  const auto config = parse(R"(
    [models]
    short = "a"
    stored = "store:minilm"
    [models.long]
    path = "b"
  )",
                            "/models")
                          .value();
  const auto path_of = [&](std::string_view name) {
    for (const config::ModelSettings& model : config.models) {
      if (model.name == name) return model.path.string();
    }
    return std::string();
  };
  CHECK(path_of("short") == "/models/a");
  CHECK(path_of("stored") == "store:minilm");
  CHECK(path_of("long") == "/models/b");
  CHECK(parse("[models.m]\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[models]\nm = 3\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[models]\nm = ''\n", ".").error().code == ErrorCode::kConfig);
  const auto unknown = parse("[models.m]\npath = 'x'\nfolder = 'y'\n", ".");
  CHECK(unknown.error().code == ErrorCode::kConfigUnknownKey);
  CHECK(unknown.error().subject == "models.m.folder");
}

TEST_CASE("config: '~' in a path is refused, since nothing replaces it") {
  CHECK(parse("[server]\nstate = '~/state'\n", ".").error().code == ErrorCode::kConfig);
  CHECK(parse("[trust]\npublic_keys = ['~/k.pem']\n", ".").error().code == ErrorCode::kConfig);
}

TEST_CASE("config: a key is known in its own table only") {
  CHECK(parse("[server]\nqueue_max = 3\n", ".").error().subject == "server.queue_max");
  CHECK(parse("[limits]\nlisten = 'x'\n", ".").error().subject == "limits.listen");
}

TEST_CASE("example: the file is what the program prints, parses, and changes no default") {
  std::ifstream stream(std::string(MLXGUARD_SOURCE_DIR) + "/mlxguard.toml.example");
  std::stringstream text;
  text << stream.rdbuf();
  CHECK(text.str() == config::example_text());
  const auto example = parse(text.str(), ".");
  REQUIRE(example.has_value());
  KeyNames keys;
  config::ServeConfig().for_each_group([&](auto& group) { group.visit(keys); });
  CHECK(keys.names.size() > 20);
  for (const std::string& name : keys.names) {
    INFO(name);
    CHECK(text.str().find(name + " = ") != std::string::npos);
  }
  const config::ServeConfig defaults;
  CHECK(example->http.body_bytes_max == defaults.http.body_bytes_max);
  CHECK(example->queue.queue_max == defaults.queue.queue_max);
  CHECK(example->trust.policy.empty());
  CHECK(example->trust.root_key.empty());
  CHECK(example->models.empty());
}
