// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "mirror_options.h"

using namespace mlxguard;
using namespace mlxguard::mirror;

namespace {
Result<Parsed> parse(std::vector<const char*> arguments, MirrorEnvironment environment = {}) {
  arguments.insert(arguments.begin(), "serve");
  environment.state.home = "/nonexistent";
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data(), environment);
}
ErrorCode refused(std::vector<const char*> arguments, MirrorEnvironment environment = {}) {
  const auto parsed = parse(std::move(arguments), environment);
  REQUIRE_FALSE(parsed);
  return parsed.error().code;
}
}  // namespace

TEST_CASE("options: durations have units") {
  CHECK(parse_duration("7d")->count() == 7 * 86'400'000);
  CHECK(parse_duration("90s")->count() == 90'000);
  CHECK(parse_duration("0")->count() == 0);
  for (const char* bad : {"", "7", "d", "-1d", "7w", "1.5h", "9999999999999d", "7d "}) {
    CAPTURE(bad);
    CHECK(parse_duration(bad).error().code == ErrorCode::kUsage);
  }
}

TEST_CASE("options: an upstream is needed, and only one that cannot be altered on its way") {
  CHECK(refused({}) == ErrorCode::kUsage);
  CHECK(refused({"--upstream", "http://index.example/simple"}) == ErrorCode::kUsage);
  CHECK(refused({"--upstream", "file:///simple"}) == ErrorCode::kUsage);
  CHECK(parse({"--upstream", "http://127.0.0.1:1/simple"})->options->upstream.path == "/simple/");
  CHECK(parse({"--upstream", "http://index.example/simple", "--plain-http"}));
  CHECK(parse({"--upstream", "https://index.example/simple"}));
}

TEST_CASE("options: pip's own index is used only when asked for") {
  const MirrorEnvironment environment{{}, "https://inner.example/simple/", {}, {}};
  CHECK(refused({}, environment) == ErrorCode::kUsage);
  const auto parsed = parse({"--upstream-from-pip"}, environment);
  REQUIRE(parsed);
  CHECK(parsed->options->upstream.host == "inner.example");
  CHECK(refused({"--upstream-from-pip", "--upstream", "https://x.example/"}, environment) ==
        ErrorCode::kUsage);
}

TEST_CASE("options: beyond this machine only with TLS and keys") {
  CHECK(refused({"--upstream", "https://x.example/", "--listen", "0.0.0.0:1"}) ==
        ErrorCode::kListenUnsafe);
  CHECK(refused({"--upstream", "https://x.example/", "--listen", "0.0.0.0:1", "--api-key-file",
                 "k"}) == ErrorCode::kListenUnsafe);
  CHECK(parse({"--upstream", "https://x.example/", "--listen", "0.0.0.0:1", "--api-key-file", "k",
               "--tls-certificate", "c", "--tls-private-key", "p"}));
}

TEST_CASE("options: reasons to accept are names of a table") {
  CHECK(refused({"--upstream", "https://x.example/", "--accept", "anything"}) == ErrorCode::kUsage);
  const auto parsed = parse({"--upstream", "https://x.example/", "--accept", "no-database"});
  REQUIRE(parsed);
  CHECK(parsed->options->accepted == std::set<Unknown>{Unknown::kNoDatabase});
}
