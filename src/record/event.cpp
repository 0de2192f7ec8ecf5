// SPDX-License-Identifier: Apache-2.0
#include "record/event.h"

#include "base/check.h"

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
              .attributes = {},
              .time = std::nullopt};
  if (!error.subject.empty()) event.set(Attr::kSubject, error.subject);
  if (!error.expected.empty()) event.set(Attr::kExpected, error.expected);
  if (!error.actual.empty()) event.set(Attr::kActual, error.actual);
  return event;
}

const AttrValue* Event::find(AttrId id) const {
  for (const auto& [own, value] : attributes) {
    if (own == id) return &value;
  }
  return nullptr;
}

Event& Event::put(AttrId id, AttrValue value) {
  for (auto& [own, old] : attributes) {
    if (own != id) continue;
    old = std::move(value);
    return *this;
  }
  attributes.emplace_back(id, std::move(value));
  return *this;
}

bool Event::set_untyped(AttrId id, AttrValue value) {
  if (type_of(value) != describe(id).type) return false;
  put(id, std::move(value));
  return true;
}

std::vector<AttrId> missing_attributes(const Event& event) {
  std::vector<AttrId> missing;
  for (const AttrId id : describe(event.kind).required) {
    if (event.find(id) == nullptr) missing.push_back(id);
  }
  return missing;
}

Result<void> RecordingSink::append(const Event& event) {
  MLXGUARD_CHECK(missing_attributes(event).empty());
  const std::lock_guard lock(mutex_);
  events_.push_back(event);
  return {};
}

std::vector<Event> RecordingSink::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

}  // namespace mlxguard::record
