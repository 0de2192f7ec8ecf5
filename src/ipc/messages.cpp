// SPDX-License-Identifier: Apache-2.0
#include "ipc/messages.h"

#include <algorithm>

#include "base/limits.h"
#include "base/process_bounds.h"
#include "codec/unicode.h"

namespace mlxguard::ipc {
namespace {

/// At most so many bytes, cut between characters.
std::string shortened(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0) == 0x80) {
      --bytes_max;
    }
  }
  return std::string(text.substr(0, bytes_max));
}

/// A text as the supervisor accepts it (launch/reported_event.h): short and visible. What a client
/// sent may be in it.
std::string reported_text(std::string_view text, std::size_t bytes_max) {
  bytes_max = std::min(bytes_max, limits::kReportedTextBytesMax);
  return shortened(codec::visible_text(text, bytes_max), bytes_max);
}

WireAttribute wire_attribute(record::AttrId id, const record::AttrValue& value) {
  WireAttribute wire;
  wire.number = static_cast<std::uint16_t>(id);
  if (const auto* text = std::get_if<std::string>(&value)) {
    wire.text = reported_text(*text, record::describe(id).bytes_max);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    wire.integer = *integer;
  } else if (const auto* real = std::get_if<double>(&value)) {
    wire.real = *real;
  } else {
    wire.integer = std::get<bool>(value) ? 1 : 0;
  }
  return wire;
}

record::AttrValue value_of(record::AttrType type, WireAttribute& wire) {
  switch (type) {
    case record::AttrType::kText:
      return std::move(wire.text);
    case record::AttrType::kInteger:
      return wire.integer;
    case record::AttrType::kNumber:
      return wire.real;
    case record::AttrType::kBool:
      return wire.integer != 0;
  }
  MLXGUARD_CHECK(false);
}

Result<void> add_attribute(record::Event& event, WireAttribute& wire) {
  const record::AttrRow* row = record::find_attribute(wire.number);
  if (row == nullptr || event.find(row->id) != nullptr) {
    return make_error(ErrorCode::kWorkerProtocol, "an event with an unknown or repeated attribute");
  }
  if (wire.text.size() > row->bytes_max) {
    return make_error(ErrorCode::kWorkerProtocol, "an event's attribute is longer than its bound");
  }
  MLXGUARD_CHECK(event.set_untyped(row->id, value_of(row->type, wire)));
  return {};
}

}  // namespace

WireError WireError::of(const Error& error) {
  return {std::string(name_of(error.code)),
          error.message,
          error.subject,
          error.expected,
          error.actual,
          error.hint};
}

Error WireError::to_error() const {
  const ErrorCodeRow* row = find_error_code(code);
  Error error = make_error(row != nullptr ? row->code : ErrorCode::kInternal, message);
  error.subject = subject;
  error.expected = expected;
  error.actual = actual;
  error.hint = hint;
  return error;
}

ReportEvent ReportEvent::of(std::uint64_t sequence, const record::Event& event) {
  ReportEvent report;
  report.sequence = sequence;
  report.kind = record::describe(event.kind).name;
  report.outcome = static_cast<std::uint8_t>(event.outcome);
  report.model = event.model;
  if (event.code) report.code = name_of(*event.code);
  report.message = reported_text(event.message, limits::kEventFieldBytesMax);
  for (const auto& [id, value] : event.attributes) {
    report.attributes.push_back(wire_attribute(id, value));
  }
  return report;
}

Result<record::Event> ReportEvent::to_event() && {
  const record::KindRow* row = record::find_kind(kind);
  const ErrorCodeRow* code_row = code.empty() ? nullptr : find_error_code(code);
  if (row == nullptr || outcome > static_cast<std::uint8_t>(record::Outcome::kFailed) ||
      (!code.empty() && code_row == nullptr)) {
    return make_error(ErrorCode::kWorkerProtocol, "an event of an unknown kind, outcome or code");
  }
  record::Event event{.kind = row->kind};
  event.outcome = static_cast<record::Outcome>(outcome);
  if (message.size() > limits::kEventFieldBytesMax || model.size() > limits::kEventFieldBytesMax ||
      attributes.size() > limits::kEventFieldsMax) {
    return make_error(ErrorCode::kWorkerProtocol, "an event beyond its bounds");
  }
  event.model = std::move(model);
  if (code_row != nullptr) event.code = code_row->code;
  event.message = std::move(message);
  event.attributes.reserve(attributes.size());
  for (WireAttribute& attribute : attributes) MLXGUARD_TRY(add_attribute(event, attribute));
  return event;
}

}  // namespace mlxguard::ipc
