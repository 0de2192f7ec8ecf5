// SPDX-License-Identifier: Apache-2.0
// The example file and the list of keys, both made from the settings that the libraries declare.
#include <string>

#include "config/config.h"

namespace mlxguard::config {
namespace {

/// Prints settings as TOML with their meaning above each.
class ExampleWriter {
 public:
  template <class T>
  void integer(SettingKey key, const T& value, SettingBounds) {
    line(key, std::to_string(value));
  }
  void flag(SettingKey key, bool value) { line(key, value ? "true" : "false"); }
  void text(SettingKey key, const std::string& value) { line(key, quoted(value)); }
  void path(SettingKey key, const std::filesystem::path&) { absent(key); }
  void model_path(SettingKey key, const std::filesystem::path&) { absent(key); }
  void fingerprint(SettingKey key, const std::string&) { absent(key); }
  void paths(SettingKey key, const std::vector<std::filesystem::path>&) { line(key, "[]"); }
  template <class Enumeration, std::size_t Count>
  void choice(SettingKey key, Enumeration value,
              const std::array<std::string_view, Count>& names) {
    line(key, quoted(names.at(static_cast<std::size_t>(value))));
  }

  void table(std::string_view name) {
    if (name == table_) return;
    table_ = name;
    text_ += "\n[" + std::string(name) + "]\n";
  }
  void raw(std::string_view text) { text_ += text; }
  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  static std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }
  void absent(SettingKey key) {
    text_ += "# " + std::string(key.meaning) + "\n# " + std::string(key.name) + " = " +
             quoted(key.example) + "\n";
  }
  void line(SettingKey key, const std::string& value) {
    text_ += "# " + std::string(key.meaning) + "\n" + std::string(key.name) + " = " + value + "\n";
  }
  std::string text_;
  std::string_view table_;
};

}  // namespace

std::string example_text() {
  ExampleWriter writer;
  writer.raw(
      "# Every key that mlxguard knows, with its default; an unknown key is an error.\n"
      "# Use: mlxguard serve -c mlxguard.toml      Paths are relative to this file.\n"
      "# Written by: mlxguard serve --example-config\n"
      "\n"
      "[models]\n"
      "# NAME = \"FOLDER\" of a signed model, or store:NAME\n"
      "# minilm = \"models/minilm\"\n"
      "\n"
      "# The same as a table, with room for what concerns one model alone.\n"
      "# [models.minilm]\n");
  ModelSettings model;
  ExampleWriter model_writer;
  model.visit(model_writer);
  writer.raw(std::move(model_writer).take());
  ServeConfig().for_each_group([&](auto& group) {
    writer.table(group.kTable);
    group.visit(writer);
  });
  return std::move(writer).take();
}

}  // namespace mlxguard::config
