// SPDX-License-Identifier: Apache-2.0
#include "launch/reported_event.h"

#include <doctest/doctest.h>

#include <limits>

#include "base/process_bounds.h"

using namespace mlxguard;
using namespace mlxguard::launch;
using record::Attr;

namespace {

ipc::ReportEvent report() {
  record::Event event{.kind = record::Kind::kInferenceDone};
  event.model = "mlp";
  event.message = "done";
  event.set(Attr::kRootDigest, "00").set(Attr::kClientIp, "127.0.0.1").set(Attr::kStatus, 200);
  return ipc::ReportEvent::of(1, event);
}

ErrorCode refusal(const ipc::ReportEvent& message) {
  const auto accepted = accept_event(message);
  return accepted ? ErrorCode::kInternal : accepted.error().code;
}

}  // namespace

TEST_CASE("reported event: what the gateway reports is accepted") {
  const auto accepted = accept_event(report());
  REQUIRE(accepted.has_value());
  CHECK(accepted->kind == record::Kind::kInferenceDone);
  CHECK(accepted->model == "mlp");
  CHECK(accepted->attributes.size() == 3);
}

TEST_CASE("reported event: whatever a client sent, the gateway's report of it is accepted") {
  std::string hostile;
  for (int byte = 0; byte < 256; ++byte) hostile.push_back(static_cast<char>(byte));
  for (const std::string& text :
       {hostile, std::string(100'000, 'x'), std::string(100'000, '\x1b'),
        std::string("\xe2\x80\xae") + std::string(1000, '\xff')}) {
    record::Event event{.kind = record::Kind::kRequestRefused};
    event.message = text;
    event.set(Attr::kSubject, text);
    CHECK(accept_event(ipc::ReportEvent::of(1, event)).has_value());
  }
}

TEST_CASE("reported event: an event of another line is not the gateway's") {
  for (const auto kind : {record::Kind::kWorkerDied, record::Kind::kModelVerified,
                          record::Kind::kKeyRevoked}) {
    ipc::ReportEvent message = report();
    message.kind = record::describe(kind).name;
    CHECK(refusal(message) == ErrorCode::kWorkerProtocol);
  }
}

TEST_CASE("reported event: unknown names and numbers, and texts nobody could have sent") {
  const auto changed = [](auto change) {
    ipc::ReportEvent message = report();
    change(message);
    return refusal(message);
  };
  const std::string longest(limits::kReportedTextBytesMax + 1, 'x');
  CHECK(changed([](auto& m) { m.kind = "no.such"; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.code = "no.such"; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.outcome = 17; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([&](auto& m) { m.message = longest; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.message = "a\nb"; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.message = "\xff"; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.model = std::string(200, 'x'); }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.model = "\x1b[2J"; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([&](auto& m) { m.attributes[0].text = longest; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.attributes[1].text = "\x7f"; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.attributes[1].number = 60'000; }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.attributes.push_back(m.attributes[0]); }) ==
        ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) {
          m.attributes[2].real = std::numeric_limits<double>::quiet_NaN();
        }) == ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.attributes.resize(33, m.attributes[0]); }) ==
        ErrorCode::kWorkerProtocol);
  CHECK(changed([](auto& m) { m.attributes.erase(m.attributes.begin()); }) ==
        ErrorCode::kWorkerProtocol);  // the digest of the model, which an inference must have
}
