// SPDX-License-Identifier: Apache-2.0
#include "admission/model_record.h"

#include <utility>

namespace mlxguard::admission {

using events::Event;
using events::Kind;

ModelRecord::ModelRecord(std::string model, events::Sink& sink, const Clock& clock)
    : model_(std::move(model)), sink_(sink), clock_(clock), start_(clock.steady()) {}

Result<void> ModelRecord::append(Kind kind, std::string message,
                                 const signature::VerifyReport& report) {
  const auto elapsed =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady() - start_);
  Event event{.kind = kind};
  event.model = model_;
  event.message = std::move(message);
  event.with("root_digest", report.root_digest)
      .with("signer", report.signer)
      .with("signer_name", report.signer_name)
      .with("files", static_cast<std::int64_t>(report.files))
      .with("bytes", static_cast<std::int64_t>(report.bytes))
      .with("duration_us", std::int64_t{elapsed.count()});
  return sink_.append(event);
}

Result<void> ModelRecord::opened(const signature::VerifyReport& claimed) {
  return append(Kind::kModelOpened, "a trusted key signed the list of its files", claimed);
}

Result<void> ModelRecord::snapshot(const signature::VerifyReport& claimed) {
  return append(Kind::kModelSnapshot, "its bytes are held in sealed memory", claimed);
}

Result<void> ModelRecord::verified(const signature::VerifyReport& report) {
  return append(Kind::kModelVerified, "every file is exactly as it was signed", report);
}

Error ModelRecord::refused(Error error, const signature::Findings& findings) {
  Event event = events::event_of(Kind::kModelRefused, error, model_);
  event.with("findings", static_cast<std::int64_t>(findings.empty() ? 1 : findings.size()));
  if (auto logged = sink_.append(event); !logged) {
    return std::move(logged).error().with("recording a refusal", name_of(error.code));
  }
  return error;
}

std::string model_name(const std::string& served_name, const std::filesystem::path& path) {
  if (!served_name.empty()) return served_name;
  const auto normal = path.lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

}  // namespace mlxguard::admission
