// SPDX-License-Identifier: Apache-2.0
// What the gateway knows of the models it serves, all of it told by the supervisor: names from the
// start, the rest while a worker is up.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "validate/schema.h"

namespace mlxguard::gateway {

class WorkerLink;

struct Model {
  std::string name{};
  std::uint64_t generation = 0;        ///< of the newest worker heard of
  std::shared_ptr<WorkerLink> link{};  ///< null while no worker is up
  validate::ModelSchema schema{};      ///< as the newest worker said
  std::string root_digest{};
  std::string signer{};
  std::int64_t created_seconds = 0;
  std::int64_t retry_after_seconds = 1;  ///< while it is down
  bool known = false;                    ///< a worker was up once, so the schema is known

  [[nodiscard]] bool up() const { return link != nullptr; }
};

class Models {
 public:
  explicit Models(const std::vector<std::string>& names) {
    for (const std::string& name : names) models_[name].name = name;
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

}  // namespace mlxguard::gateway
