// SPDX-License-Identifier: Apache-2.0
#include "launch/reported_event.h"

#include <algorithm>
#include <cmath>

#include "base/limits.h"
#include "base/process_bounds.h"
#include "codec/unicode.h"

namespace mlxguard::launch {
namespace {

bool is_text(std::string_view text) {
  return text.size() <= limits::kReportedTextBytesMax && codec::is_visible_text(text);
}

bool is_attribute(const ipc::WireAttribute& attribute) {
  return is_text(attribute.text) && std::isfinite(attribute.real);
}

Error breach(std::string what) {
  return make_error(ErrorCode::kWorkerProtocol, "the gateway reported " + std::move(what));
}

}  // namespace

Result<record::Event> accept_event(ipc::ReportEvent report) {
  if (report.attributes.size() > limits::kReportedAttributesMax) {
    return breach("an event with too many attributes");
  }
  const bool bounded = report.model.size() <= limits::kModelNameBytesMax &&
                       is_text(report.model) && is_text(report.message) &&
                       std::ranges::all_of(report.attributes, is_attribute);
  if (!bounded) return breach("an event with a text that is too long or not visible");
  MLXGUARD_TRY_ASSIGN(record::Event event, std::move(report).to_event());
  if (record::describe(event.kind).line != record::Line::kRequest) {
    return breach("an event that is not its own").about(std::string(describe(event.kind).name));
  }
  if (!record::missing_attributes(event).empty()) {
    return breach("an event without what its kind must have");
  }
  return event;
}

}  // namespace mlxguard::launch
