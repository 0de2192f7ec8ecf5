// SPDX-License-Identifier: Apache-2.0
#include "log/ocsf.h"

#include "base/limits.h"
#include "codec/json.h"
#include "log/index.h"
#include "log/test_log.h"
#include "record/doc_table.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT
using namespace mlxguard::record;  // NOLINT

namespace {

std::string record_of(Event event) {
  TestRandom random;
  OcsfSource source;
  source.host_name = "host";
  source.log_name = "mlxguard/test";
  if (!event.time.has_value()) event.time = WallTime(std::chrono::milliseconds(1'700'000'000'123));
  return OcsfWriter(source, random).write(event);
}

codec::JsonDocument parsed(const std::string& line) {
  auto document = codec::JsonDocument::parse(line);
  if (!document.has_value()) FAIL(document.error().message);
  return *std::move(document);
}

}  // namespace

TEST_CASE("ocsf: a record, as it stands in the log") {
  Event event{.kind = Kind::kModelRefused, .outcome = Outcome::kRefused, .model = "minilm"};
  event.code = ErrorCode::kDigestMismatch;
  event.message = "the file changed";
  event.set(Attr::kSubject, "model.safetensors").set(Attr::kBytes, 7);
  event.set(Attr::kMemoryLocked, false).set(Attr::kRootDigest, "sha256:00");
  CHECK(record_of(event) ==
        R"({"time":1700000000123,"class_uid":1001,"category_uid":1,"activity_id":14,)"
        R"("type_uid":100114,"severity_id":4,"status_id":2,"status":"Failure",)"
        R"("status_code":"signature.digest_mismatch","message":"the file changed",)"
        R"("metadata":{"version":"1.8.0","uid":"08070605-0403-8a09-8000-000000000000",)"
        R"("log_name":"mlxguard/test","event_code":"model.refused",)"
        R"("product":{"name":"mlxguard","vendor_name":"mlxguard","version":"0.1.0"},)"
        R"("profiles":["ai_operation"]},"actor":{"process":{"name":"mlxguard","pid":0}},)"
        R"("device":{"type_id":0,"hostname":"host"},)"
        R"("file":{"name":"model.safetensors","type_id":1},)"
        R"("ai_model":{"name":"minilm","ai_provider":"local","uid":"sha256:00"},)"
        R"("unmapped":{"kind":"model.refused","outcome":"refused",)"
        R"("code":"signature.digest_mismatch","model":"minilm","subject":"model.safetensors",)"
        R"("bytes":7,"memory_locked":false,"root_digest":"sha256:00"}})");
}

TEST_CASE("ocsf: every kind gives valid JSON of its class") {
  for (const KindRow& row : all_kinds()) {
    const codec::JsonDocument document = parsed(record_of({.kind = row.kind, .model = "m"}));
    const auto type = document.root().find("type_uid");
    REQUIRE(type.has_value());
    CHECK(*type->as_int64() == row.class_uid * 100 + row.activity_id);
    CHECK(document.root().find("message").has_value());
  }
}

TEST_CASE("ocsf: text of any length and any bytes fits into an entry, and what was cut is named") {
  std::string hostile;
  for (int i = 0; i < 200'000; ++i) hostile.push_back(static_cast<char>(i % 256));
  for (const std::string& text :
       {hostile, std::string(1u << 20, '\x01'), std::string(9000, 'a'), std::string(5000, '"')}) {
    Event event{.kind = Kind::kModelRefused, .model = text};
    event.message = text;
    for (const AttrRow& row : all_attributes()) {
      if (row.type == AttrType::kText) (void)event.set_untyped(row.id, text);
    }
    const std::string line = record_of(event);
    CHECK(line.size() <= limits::kEventBytesMax);
    CHECK(line.find('\n') == std::string::npos);
    const codec::JsonDocument document = parsed(line);
    const auto ours = document.root().find("unmapped");
    REQUIRE(ours.has_value());
    CHECK(ours->find("truncated").has_value());
  }
}

TEST_CASE("ocsf: a text is cut between characters, never inside of one") {
  Event event{.kind = Kind::kModelRefused};
  event.message = "x";
  while (event.message.size() < 5000) event.message += "\xe2\x82\xac";  // a euro sign, three bytes
  const codec::JsonDocument document = parsed(record_of(event));
  const auto message = document.root().find("message");
  REQUIRE(message.has_value());
  const std::string text(*message->as_string());
  CHECK(text.size() <= limits::kEventFieldBytesMax);
  CHECK(text == event.message.substr(0, text.size()));
  CHECK(text.find("\xef\xbf\xbd") == std::string::npos);
}

TEST_CASE("ocsf: a request names its client, its key and its model in OCSF's own places") {
  Event event{.kind = Kind::kInferenceDone, .model = "minilm"};
  event.set(Attr::kClientIp, "192.0.2.7").set(Attr::kClientPort, 40000).set(Attr::kKey, "alice");
  event.set(Attr::kRequest, "0123").set(Attr::kMethod, "POST").set(Attr::kRoute, "/v1/embeddings");
  event.set(Attr::kStatus, 200).set(Attr::kRootDigest, "sha256:00");
  const std::string line = record_of(event);
  for (const char* part :
       {R"("src_endpoint":{"ip":"192.0.2.7","port":40000})", R"("user":{"name":"alice"})",
        R"("http_request":{"uid":"0123","http_method":"POST"})", R"("http_response":{"code":200})",
        R"("api":{"operation":"/v1/embeddings"})", R"("uid":"sha256:00")"}) {
    CHECK_MESSAGE(line.find(part) != std::string::npos, part);
  }
  Event refused{.kind = Kind::kAuthFailed, .outcome = Outcome::kRefused};
  refused.set(Attr::kClientIp, "192.0.2.7").set(Attr::kKeyHash, "hmac-sha256:11");
  CHECK(record_of(refused).find(R"("user":{"uid":"hmac-sha256:11"})") != std::string::npos);
}

TEST_CASE("ocsf: the process that ended is the one that is named, and who saw it is the actor") {
  Event event{.kind = Kind::kWorkerDied, .outcome = Outcome::kFailed};
  event.set(Attr::kProcess, "gateway").set(Attr::kPid, 77);
  const std::string line = record_of(event);
  CHECK(line.find(R"("process":{"name":"gateway","pid":77})") != std::string::npos);
  CHECK(line.find(R"("actor":{"process":{"name":"mlxguard","pid":0}})") != std::string::npos);
}

TEST_CASE("index: the columns of a record are those of its JSON, whatever its texts try") {
  const std::string evil = "x\",\"unmapped\":{\"kind\":\"forged\",\"outcome\":\"success\"";
  for (const std::string& text : {std::string("plain"), std::string(), evil, evil + "}}",
                                  std::string("back\\slash\\"), std::string("\"")}) {
    Event event{.kind = Kind::kModelRefused, .outcome = Outcome::kRefused, .model = text};
    event.code = ErrorCode::kDigestMismatch;
    event.message = text;
    event.set(Attr::kSubject, text).set(Attr::kKey, text).set(Attr::kRequest, text);
    const std::string line = record_of(event);
    const IndexRow row = row_of(5, as_bytes(line), 2);
    CHECK(row.kind == "model.refused");
    CHECK(row.outcome == "refused");
    CHECK(row.code == "signature.digest_mismatch");
    CHECK(row.model == text);
    CHECK(row.time_ms == 1'700'000'000'123);
    // The same record, spaced so that the parser has to read it.
    const IndexRow parsed_row = row_of(5, as_bytes(" " + line), 2);
    CHECK(parsed_row.model == row.model);
    CHECK(parsed_row.kind == row.kind);
    CHECK(parsed_row.time_ms == row.time_ms);
  }
  for (const char* other : {"", "{}", "nonsense", "{\"time\":1}", "{\"time\":7,\"unmapped\":{}}"}) {
    CHECK(row_of(0, as_bytes(other), 2).kind.empty());
  }
}

TEST_CASE("ocsf: every record of a writer has an id of its own") {
  TestRandom random;
  OcsfWriter writer(OcsfSource{}, random);
  Event event{.kind = Kind::kServerStarted};
  event.time = WallTime(std::chrono::milliseconds(1));
  CHECK(writer.write(event) != writer.write(event));
}

TEST_CASE("events: docs/events.md has the table of kinds as it is") {
  const std::string document = slurp(std::filesystem::path(MLXGUARD_SOURCE_DIR) / "docs/events.md");
  CHECK_MESSAGE(document.find(markdown_table_of_kinds()) != std::string::npos,
                "put the output of `log_target table` into docs/events.md");
  CHECK_MESSAGE(document.find(markdown_table_of_attributes()) != std::string::npos,
                "put the output of `log_target table` into docs/events.md");
}
