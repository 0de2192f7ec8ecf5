// SPDX-License-Identifier: Apache-2.0
// An Event as one line of OCSF 1.8 JSON: what the log stores and exporters send. Values of an event
// may come from an attacker: they are escaped, cut to bounds, and can never make an event fail.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "crypto/random.h"
#include "record/event.h"

namespace mlxguard::log {

/// What every record of this process says about where it comes from.
struct OcsfSource {
  std::string process_name = "mlxguard";
  std::int64_t process_id = 0;
  std::string host_name;
  std::string log_name;  ///< the log's origin

  /// Of the running process and machine.
  [[nodiscard]] static OcsfSource of_this_process(std::string process_name);
};

/// Writes records. Thread-safe. What a kind's records have in common is written once, when the
/// writer is made. An attribute whose row names an OCSF path of the event's class stands there; all
/// of them stand in `unmapped` under their names, beside kind, outcome, code and model.
class OcsfWriter {
 public:
  OcsfWriter(OcsfSource source, crypto::Random& random);
  /// At most limits::kEventBytesMax bytes, valid JSON, no line end. `event.time` must be set. What
  /// was cut is named in `unmapped.truncated`.
  [[nodiscard]] std::string write(const record::Event& event);
  /// The same with this time.
  [[nodiscard]] std::string write(const record::Event& event, WallTime time);

 private:
  [[nodiscard]] std::string next_uid();

  /// What all records of a kind have in common.
  struct Template {
    std::string classification;  ///< members from class_uid to severity_id
    std::string metadata_end;    ///< members of `metadata` behind uid, without profiles
  };
  friend class RecordWriter;

  OcsfSource source_;
  std::vector<Template> templates_;  ///< by kind
  std::string process_;              ///< this process as an OCSF object
  std::string device_;               ///< this machine, as the member `device`
  std::uint64_t uid_prefix_ = 0;
  std::uint16_t uid_middle_ = 0;
  std::atomic<std::uint64_t> counter_{0};
};

}  // namespace mlxguard::log
