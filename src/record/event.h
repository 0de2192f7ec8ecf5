// SPDX-License-Identifier: Apache-2.0
// Event: one security-relevant fact, as a value. The table of kinds is record/table.h; how an event
// becomes an OCSF record is log/ocsf.h; where it goes is a Sink.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "record/table.h"

namespace mlxguard::record {

enum class Outcome : std::uint8_t { kSuccess, kRefused, kFailed };

/// "success", "refused" or "failed".
[[nodiscard]] std::string_view name_of(Outcome outcome);
[[nodiscard]] std::optional<Outcome> find_outcome(std::string_view name);

/// Never prompt or tensor content: names, codes, counts, sizes, durations, digests.
using FieldValue = std::variant<std::string, std::int64_t, double, bool>;

struct Event {
  Kind kind;
  Outcome outcome = Outcome::kSuccess;
  std::string model{};              ///< name of the model, or empty
  std::optional<ErrorCode> code{};  ///< why it was refused or failed
  std::string message{};            ///< one sentence for people
  std::vector<std::pair<std::string, FieldValue>>
      fields{};                    ///< kind-specific; short snake_case names
  std::optional<WallTime> time{};  ///< set by the sink if absent

  Event& with(std::string name, FieldValue value) {
    fields.emplace_back(std::move(name), std::move(value));
    return *this;
  }
};

/// An event of a refusal or failure, with the error's code, subject, expected and actual values.
[[nodiscard]] Event event_of(Kind kind, const Error& error, std::string model = {});

/// Where events go. Implementations are thread-safe.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Returns once the event is durable (kLogWrite if it cannot be made so).
  [[nodiscard]] virtual Result<void> append(const Event& event) = 0;
};

/// Remembers events, for tests.
class RecordingSink final : public Sink {
 public:
  [[nodiscard]] Result<void> append(const Event& event) override;
  [[nodiscard]] std::vector<Event> events() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
};

}  // namespace mlxguard::record
