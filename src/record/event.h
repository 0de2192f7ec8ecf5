// SPDX-License-Identifier: Apache-2.0
// Event: one security-relevant fact, as a value. The table of kinds is record/table.h; how an event
// becomes an OCSF record is log/ocsf.h; where it goes is a Sink.
#pragma once

#include <concepts>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "record/attributes.h"
#include "record/table.h"

namespace mlxguard::record {

enum class Outcome : std::uint8_t { kSuccess, kRefused, kFailed };

/// "success", "refused" or "failed".
[[nodiscard]] std::string_view name_of(Outcome outcome);
[[nodiscard]] std::optional<Outcome> find_outcome(std::string_view name);

/// What may be set as an attribute whose values are of type `Value`: any integer but no bool for an
/// integer, and so on. Nothing is narrowed or converted unseen.
template <class Value, class Given>
concept FitsAttr =
    (std::same_as<Value, std::string> && std::convertible_to<Given, std::string_view>) ||
    (std::same_as<Value, std::int64_t> && std::integral<std::remove_cvref_t<Given>> &&
     !std::same_as<std::remove_cvref_t<Given>, bool>) ||
    (std::same_as<Value, double> && std::floating_point<std::remove_cvref_t<Given>>) ||
    (std::same_as<Value, bool> && std::same_as<std::remove_cvref_t<Given>, bool>);

struct Event {
  Kind kind;
  Outcome outcome = Outcome::kSuccess;
  std::string model{};              ///< name of the model, or empty
  std::optional<ErrorCode> code{};  ///< why it was refused or failed
  std::string message{};            ///< one sentence for people
  std::vector<std::pair<AttrId, AttrValue>> attributes{};  ///< in the order in which they were set
  std::optional<WallTime> time{};                          ///< set by the sink if absent

  /// Sets an attribute, or replaces it. `event.set(Attr::kClientIp, address)`.
  template <class Value, class Given>
    requires FitsAttr<Value, Given>
  Event& set(TypedAttr<Value> attr, Given&& value) {
    if constexpr (std::same_as<Value, std::string>) {
      if constexpr (std::constructible_from<std::string, Given>) {
        return put(attr.id, AttrValue(std::string(std::forward<Given>(value))));
      } else {
        return put(attr.id, AttrValue(std::string(std::string_view(value))));
      }
    } else {
      return put(attr.id, AttrValue(static_cast<Value>(value)));
    }
  }
  /// Null if the attribute is not set.
  [[nodiscard]] const AttrValue* find(AttrId id) const;
  template <class Value>
  [[nodiscard]] const Value* find(TypedAttr<Value> attr) const {
    const AttrValue* value = find(attr.id);
    return value == nullptr ? nullptr : std::get_if<Value>(value);
  }
  /// For a value that came from another process: false if the attribute has another type.
  [[nodiscard]] bool set_untyped(AttrId id, AttrValue value);

 private:
  Event& put(AttrId id, AttrValue value);
};

/// An event of a refusal or failure, with the error's code, subject, expected and actual values.
[[nodiscard]] Event event_of(Kind kind, const Error& error, std::string model = {});

/// The attributes that the event's kind must have and this event has not. Empty unless there is a
/// bug in the code that reports it.
[[nodiscard]] std::vector<AttrId> missing_attributes(const Event& event);

/// Where events go. Implementations are thread-safe.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Returns once the event is durable (kLogWrite if it cannot be made so).
  [[nodiscard]] virtual Result<void> append(const Event& event) = 0;
};

/// Remembers events, for tests. An event without what its kind must have ends the test.
class RecordingSink final : public Sink {
 public:
  [[nodiscard]] Result<void> append(const Event& event) override;
  [[nodiscard]] std::vector<Event> events() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
};

}  // namespace mlxguard::record
