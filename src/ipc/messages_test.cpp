// SPDX-License-Identifier: Apache-2.0
#include "ipc/messages.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::ipc;

TEST_CASE("ipc: an event keeps its kind, code and fields over the wire") {
  record::Event event{.kind = record::Kind::kRequestRefused, .outcome = record::Outcome::kRefused};
  event.model = "m";
  event.code = ErrorCode::kRequestShape;
  event.with("bytes", std::int64_t{12}).with("route", std::string("/v1/embeddings"));
  event.with("share", 0.5).with("kept", true);
  const record::Event back = ReportEvent::of(9, event).to_event().value();
  CHECK(back.kind == event.kind);
  CHECK(back.outcome == event.outcome);
  CHECK(back.code == event.code);
  CHECK(back.fields == event.fields);

  ReportEvent unknown = ReportEvent::of(9, event);
  unknown.kind = "no.such";
  CHECK(unknown.to_event().error().code == ErrorCode::kWorkerProtocol);
  ReportEvent outcome = ReportEvent::of(9, event);
  outcome.outcome = 9;
  CHECK(outcome.to_event().error().code == ErrorCode::kWorkerProtocol);
  ReportEvent code = ReportEvent::of(9, event);
  code.code = "no.such";
  CHECK(code.to_event().error().code == ErrorCode::kWorkerProtocol);
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
