// SPDX-License-Identifier: Apache-2.0
#include "record/event.h"

namespace mlxguard::record {

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSuccess:
      return "success";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kFailed:
      return "failed";
  }
  MLXGUARD_CHECK(false);
}

std::optional<Outcome> find_outcome(std::string_view name) {
  for (const Outcome outcome : {Outcome::kSuccess, Outcome::kRefused, Outcome::kFailed}) {
    if (name_of(outcome) == name) return outcome;
  }
  return std::nullopt;
}

Event event_of(Kind kind, const Error& error, std::string model) {
  const bool refused = describe(error.code).exit_class == ExitClass::kRefused;
  Event event{.kind = kind,
              .outcome = refused ? Outcome::kRefused : Outcome::kFailed,
              .model = std::move(model),
              .code = error.code,
              .message = error.message,
              .fields = {},
              .time = std::nullopt};
  if (!error.subject.empty()) event.with("subject", error.subject);
  if (!error.expected.empty()) event.with("expected", error.expected);
  if (!error.actual.empty()) event.with("actual", error.actual);
  return event;
}

Result<void> RecordingSink::append(const Event& event) {
  const std::lock_guard lock(mutex_);
  events_.push_back(event);
  return {};
}

std::vector<Event> RecordingSink::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

}  // namespace mlxguard::record
