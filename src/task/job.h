// SPDX-License-Identifier: Apache-2.0
// Job: one request of a task on the side of whoever asks (gateway, command line), from its body to
// its answer: decoded, validated, and then the encoder of each part that the worker sends. Input:
// a body of an untrusted client; parts of a worker that may be compromised.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "call/messages.h"
#include "task/route.h"
#include "validate/schema.h"
#include "validate/text_rules.h"

namespace mlxguard::task {

/// A model that is served, as far as a request needs to know it.
struct Served {
  std::string name;
  std::shared_ptr<const validate::ModelSchema> schema;
};

/// What a task decodes.
struct Incoming {
  std::string_view body;
  const Route* route = nullptr;
  /// Finds the model of a name that stands in the body. Empty where the body need not name one: the
  /// model is `model` then, and a name in the body is ignored.
  std::function<Result<Served>(std::string_view name)> find;
  Served model;  ///< set unless `find` is
  validate::TextLimits texts;
};

class Job {
 public:
  virtual ~Job() = default;

  /// Checks what was decoded against the model's schema, and lays it out for the worker. Once.
  /// Errors are the client's: kRequest..., kTextInvalid.
  [[nodiscard]] virtual Result<std::vector<std::uint8_t>> validate() = 0;
  /// The bytes of the answer that a part becomes, after a check of what the worker sent. Errors are
  /// the worker's: kOutputInvalid, kWorkerProtocol.
  [[nodiscard]] virtual Result<std::string> encode_part(Bytes part) = 0;
  /// The last bytes of the answer. kWorkerProtocol if parts are lacking.
  [[nodiscard]] virtual Result<std::string> encode_end(const call::Usage& usage) = 0;

  /// A streamed answer's bytes leave as they come; others when all are there.
  [[nodiscard]] virtual bool is_streamed() const { return false; }
  /// What ends a streamed answer that failed after its beginning, in the protocol's own form.
  [[nodiscard]] virtual std::string encode_error(std::string_view /*body_of_error*/) { return {}; }
  [[nodiscard]] virtual std::string_view content_type() const { return "application/json"; }
  /// Parts that may be on their way at once.
  [[nodiscard]] virtual std::uint32_t window() const { return 1; }

  // For the event of the request; counts, no content.
  [[nodiscard]] virtual std::int64_t items() const = 0;
  [[nodiscard]] virtual std::int64_t tokens() const { return 0; }
};

}  // namespace mlxguard::task
