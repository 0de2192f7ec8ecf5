// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "base/limits.h"
#include "base/file.h"
#include "codec/toml_text.h"

#define TOML_EXCEPTIONS 0
// Its assertions can be reached by bytes of a file ("[="); the check behind each gives an error.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

namespace mlxguard::config {
namespace {

Error wrong_type(std::string_view expected) {
  return make_error(ErrorCode::kConfig, "expected " + std::string(expected));
}

std::string at(const toml::node& node) {
  return "line " + std::to_string(node.source().begin.line);
}

/// Reads the settings of one group from its table. Remembers the first error and every key that a
/// group asked for, so that a key nobody asked for can be told.
class TableReader {
 public:
  TableReader(std::string_view table_name, const toml::table& table,
              const std::filesystem::path& folder)
      : table_name_(table_name), table_(table), folder_(folder) {}

  template <class T>
  void integer(SettingKey key, T& value, SettingBounds bounds) {
    take(key, [&](const toml::node& node) -> Result<void> {
      const auto number = node.value_exact<std::int64_t>();
      if (!number || *number < bounds.min || *number > bounds.max) {
        return wrong_type("an integer from " + std::to_string(bounds.min) + " to " +
                          std::to_string(bounds.max));
      }
      value = static_cast<T>(*number);
      return {};
    });
  }
  void flag(SettingKey key, bool& value) {
    take(key, [&](const toml::node& node) -> Result<void> {
      const auto flag = node.value_exact<bool>();
      if (!flag) return wrong_type("true or false");
      value = *flag;
      return {};
    });
  }
  void text(SettingKey key, std::string& value) {
    take(key, [&](const toml::node& node) -> Result<void> {
      const auto text = node.value_exact<std::string>();
      if (!text || text->empty()) return wrong_type("a text that is not empty");
      value = *text;
      return {};
    });
  }
  void path(SettingKey key, std::filesystem::path& value) {
    take(key, [&](const toml::node& node) -> Result<void> {
      MLXGUARD_TRY_ASSIGN(value, path_of(node));
      return {};
    });
  }
  /// `store:NAME` is no path (artifact/store.h).
  void model_path(SettingKey key, std::filesystem::path& value) {
    take(key, [&](const toml::node& node) -> Result<void> {
      const auto text = node.value_exact<std::string>();
      if (text && text->starts_with("store:")) {
        value = *text;
        return {};
      }
      MLXGUARD_TRY_ASSIGN(value, path_of(node));
      return {};
    });
  }
  void paths(SettingKey key, std::vector<std::filesystem::path>& values) {
    take(key, [&](const toml::node& node) -> Result<void> {
      const toml::array* array = node.as_array();
      if (array == nullptr) return wrong_type("an array of paths");
      values.clear();
      for (const toml::node& item : *array) {
        MLXGUARD_TRY_ASSIGN(values.emplace_back(), path_of(item));
      }
      return {};
    });
  }
  void fingerprint(SettingKey key, std::string& value) {
    take(key, [&](const toml::node& node) -> Result<void> {
      constexpr std::size_t kFingerprintHexBytes = 64;
      const auto text = node.value_exact<std::string>();
      const bool fingerprint = text && text->size() == kFingerprintHexBytes &&
                               text->find_first_not_of("0123456789abcdef") == std::string::npos;
      if (!fingerprint) return wrong_type("a fingerprint: 64 digits of lowercase hex");
      value = *text;
      return {};
    });
  }
  template <class Enumeration, std::size_t Count>
  void choice(SettingKey key, Enumeration& value,
              const std::array<std::string_view, Count>& names) {
    take(key, [&](const toml::node& node) -> Result<void> {
      const auto text = node.value_exact<std::string>();
      const auto found = text ? std::find(names.begin(), names.end(), *text) : names.end();
      if (found == names.end()) return wrong_type("one of: " + joined(names));
      value = static_cast<Enumeration>(found - names.begin());
      return {};
    });
  }

  /// The first error; else kConfigUnknownKey for a key that no group asked for.
  [[nodiscard]] Result<void> finish() const {
    if (error_) return *error_;
    for (const auto& [name, node] : table_) {
      if (std::find(asked_.begin(), asked_.end(), name.str()) != asked_.end()) continue;
      const std::string full_name = full(name.str());
      return make_error(ErrorCode::kConfigUnknownKey, at(node) + ": no such key: " + full_name)
          .about(full_name)
          .hinting("mlxguard serve --example-config prints every key");
    }
    return {};
  }

 private:
  template <class Read>
  void take(SettingKey key, Read read) {
    asked_.push_back(key.name);
    const toml::node* node = table_.get(key.name);
    if (node == nullptr || error_) return;
    if (auto done = read(*node); !done) {
      const std::string full_name = full(key.name);
      error_ = std::move(done).error().with(at(*node) + ":", full_name).about(full_name);
    }
  }
  [[nodiscard]] std::string full(std::string_view key) const {
    return std::string(table_name_) + "." + std::string(key);
  }
  [[nodiscard]] Result<std::filesystem::path> path_of(const toml::node& node) const {
    const auto text = node.value_exact<std::string>();
    if (!text || text->empty()) return wrong_type("a path");
    if (text->front() == '~') {
      return wrong_type("a whole path: '~' is not replaced by a home folder");
    }
    return folder_ / *text;
  }

  std::string_view table_name_;
  const toml::table& table_;
  const std::filesystem::path& folder_;
  std::vector<std::string_view> asked_;
  std::optional<Error> error_;
};

Result<void> read_models(ServeConfig& config, const toml::table& models,
                         const std::filesystem::path& folder) {
  for (const auto& [name, node] : models) {
    const std::string full_name = "models." + std::string(name.str());
    if (!is_model_name(name.str())) {
      return make_error(ErrorCode::kConfig,
                        at(node) + ": expected a model name of letters, digits, '.', '_' and '-'")
          .about(full_name);
    }
    ModelSettings model;
    model.name = name.str();
    if (const toml::table* table = node.as_table()) {
      TableReader reader(full_name, *table, folder);
      model.visit(reader);
      MLXGUARD_TRY(reader.finish());
    } else {
      // The short form: NAME = "FOLDER" says the path alone.
      toml::table short_form;
      short_form.insert("path", node);
      TableReader reader(full_name, short_form, folder);
      model.visit(reader);
      if (auto read = reader.finish(); !read) {
        return make_error(ErrorCode::kConfig,
                          at(node) + ": expected a folder, or a table with path")
            .about(full_name);
      }
    }
    if (model.path.empty()) {
      return make_error(ErrorCode::kConfig, at(node) + ": expected path = \"FOLDER\"")
          .about(full_name);
    }
    config.models.push_back(std::move(model));
  }
  return {};
}

Result<void> read_group_tables(ServeConfig& config, const toml::table& root,
                               const std::filesystem::path& folder) {
  std::vector<std::pair<std::string_view, TableReader>> readers;
  for (const auto& [name, node] : root) {
    if (name.str() == "models") continue;
    readers.emplace_back(name.str(), TableReader(name.str(), *node.as_table(), folder));
  }
  config.for_each_group([&](auto& group) {
    for (auto& [name, reader] : readers) {
      if (name == group.kTable) group.visit(reader);
    }
  });
  for (const auto& [name, reader] : readers) MLXGUARD_TRY(reader.finish());
  return {};
}

Result<void> check_tables(const toml::table& root) {
  std::vector<std::string_view> known{"models"};
  ServeConfig().for_each_group([&](auto& group) { known.push_back(group.kTable); });
  for (const auto& [name, node] : root) {
    if (node.is_table() && std::find(known.begin(), known.end(), name.str()) != known.end()) {
      continue;
    }
    return make_error(ErrorCode::kConfigUnknownKey,
                      at(node) + ": no such table: " + std::string(name.str()))
        .about(std::string(name.str()))
        .hinting("mlxguard serve --example-config prints every key");
  }
  return {};
}

}  // namespace

Result<ServeConfig> parse(std::string_view text, const std::filesystem::path& folder,
                          ServeConfig base) {
  if (const auto line = codec::find_stray_character(text)) {
    return make_error(ErrorCode::kConfig,
                      "line " + std::to_string(*line) +
                          ": expected UTF-8, with what is not ASCII in strings and comments only");
  }
  toml::parse_result parsed = toml::parse(codec::toml_in_ascii(text));
  if (parsed) parsed = toml::parse(text);
  if (!parsed) {
    return make_error(ErrorCode::kConfig, "line " +
                                              std::to_string(parsed.error().source().begin.line) +
                                              ": " + std::string(parsed.error().description()));
  }
  const toml::table& root = parsed.table();
  MLXGUARD_TRY(check_tables(root));
  if (const toml::table* models = root["models"].as_table()) {
    MLXGUARD_TRY(read_models(base, *models, folder));
  }
  MLXGUARD_TRY(read_group_tables(base, root, folder));
  return base;
}

Result<ServeConfig> load(const std::filesystem::path& file) {
  MLXGUARD_TRY_ASSIGN(const std::string text, read_file(file, limits::kConfigBytesMax));
  auto config = parse(text, file.parent_path());
  if (!config) return std::move(config).error().with(file.string());
  return config;
}

bool is_model_name(std::string_view name) {
  if (name.empty() || name.size() > limits::kModelNameBytesMax || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return is_ascii_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  });
}

std::filesystem::path default_state(const Environment& environment) {
  if (!environment.xdg_state_home.empty()) {
    return std::filesystem::path(environment.xdg_state_home) / "mlxguard";
  }
  if (environment.is_root || environment.home.empty()) return "/var/lib/mlxguard";
  return std::filesystem::path(environment.home) / ".local/state/mlxguard";
}

}  // namespace mlxguard::config
