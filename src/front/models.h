// SPDX-License-Identifier: Apache-2.0
// What is known of the models that are served, all of it told by the supervisor: names from the
// start, the rest once a worker was up. The calls to a model wait in its queue.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "call/call_queue.h"
#include "validate/schema.h"

namespace mlxguard::front {

struct Model {
  std::string name{};
  std::uint64_t generation = 0;  ///< of the newest worker heard of
  std::shared_ptr<call::CallQueue> queue{};
  std::shared_ptr<const validate::ModelSchema> schema{};  ///< as the newest worker said; or null
  std::string root_digest{};
  std::string signer{};
  std::int64_t created_seconds = 0;
  std::int64_t retry_after_seconds = 1;  ///< while it is down

  /// A worker was up once.
  [[nodiscard]] bool known() const { return schema != nullptr; }
  [[nodiscard]] bool up() const { return queue != nullptr && queue->is_up(); }
};

class Models {
 public:
  Models(const std::vector<std::string>& names, async::Executor executor,
         const call::CallQueueOptions& options) {
    for (const std::string& name : names) {
      models_[name].name = name;
      models_[name].queue = std::make_shared<call::CallQueue>(executor, options);
    }
  }
  /// kModelUnknown if the name is not served.
  [[nodiscard]] Result<Model*> find(std::string_view name) {
    const auto found = models_.find(name);
    if (found == models_.end()) {
      return make_error(ErrorCode::kModelUnknown, "no model of this name is served").about("model");
    }
    return &found->second;
  }
  [[nodiscard]] const std::map<std::string, Model, std::less<>>& all() const { return models_; }
  [[nodiscard]] std::map<std::string, Model, std::less<>>& all() { return models_; }
  [[nodiscard]] bool all_up() const {
    for (const auto& [name, model] : models_) {
      if (!model.up()) return false;
    }
    return true;
  }

 private:
  std::map<std::string, Model, std::less<>> models_;
};

}  // namespace mlxguard::front
