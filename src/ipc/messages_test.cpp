// SPDX-License-Identifier: Apache-2.0
#include "ipc/messages.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::ipc;
using record::Attr;

TEST_CASE("ipc: an event keeps its kind, code and fields over the wire") {
  record::Event event{.kind = record::Kind::kRequestRefused, .outcome = record::Outcome::kRefused};
  event.model = "m";
  event.code = ErrorCode::kRequestShape;
  event.set(Attr::kBytes, 12).set(Attr::kRoute, "/v1/embeddings").set(Attr::kMemoryLocked, true);
  const record::Event back = ReportEvent::of(9, event).to_event().value();
  CHECK(back.kind == event.kind);
  CHECK(back.outcome == event.outcome);
  CHECK(back.code == event.code);
  CHECK(back.attributes == event.attributes);

  ReportEvent unknown = ReportEvent::of(9, event);
  unknown.kind = "no.such";
  CHECK(std::move(unknown).to_event().error().code == ErrorCode::kWorkerProtocol);
  ReportEvent outcome = ReportEvent::of(9, event);
  outcome.outcome = 9;
  CHECK(std::move(outcome).to_event().error().code == ErrorCode::kWorkerProtocol);
  ReportEvent code = ReportEvent::of(9, event);
  code.code = "no.such";
  CHECK(std::move(code).to_event().error().code == ErrorCode::kWorkerProtocol);
}

TEST_CASE("ipc: an error keeps its code over the wire, an unknown one becomes internal") {
  const Error error = make_error(ErrorCode::kEngineRun, "m").about("s").compared("e", "a");
  const Error back = WireError::of(error).to_error();
  CHECK(back.code == ErrorCode::kEngineRun);
  CHECK(back.subject == "s");
  CHECK(back.expected == "e");
  WireError unknown = WireError::of(error);
  unknown.code = "no.such";
  CHECK(unknown.to_error().code == ErrorCode::kInternal);
}

TEST_CASE("ipc: the receiver refuses an event beyond its bounds or with odd attributes") {
  record::Event event{.kind = record::Kind::kRequestRefused};
  event.set(Attr::kRequest, std::string(5000, 'r'));
  const ReportEvent sent = ReportEvent::of(1, event);
  const record::AttrRow& row = record::describe(record::AttrId::kRequest);
  CHECK(sent.attributes.front().text.size() == row.bytes_max);
  const auto refused = [&](auto change) {
    ReportEvent changed = sent;
    change(changed);
    return std::move(changed).to_event().error().code == ErrorCode::kWorkerProtocol;
  };
  CHECK(ReportEvent(sent).to_event().has_value());
  CHECK(refused([](ReportEvent& report) { report.attributes.front().text += 'r'; }));
  CHECK(refused([](ReportEvent& report) { report.attributes.front().number = 60'000; }));
  CHECK(refused([](ReportEvent& report) {
    report.attributes.push_back(report.attributes.front());
  }));
  CHECK(refused([](ReportEvent& report) { report.message.assign(5000, 'm'); }));
  CHECK(refused([](ReportEvent& report) { report.model.assign(5000, 'm'); }));
}
