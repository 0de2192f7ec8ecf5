// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>

namespace mlxguard::cli {

Argument* Argument::required() {
  option_.required();
  return this;
}

Argument* Argument::excludes(const Argument* other) {
  option_.excludes(&other->option_);
  return this;
}

Argument* Argument::needs(const Argument* other) {
  option_.needs(&other->option_);
  return this;
}

Argument* Argument::allow_extra_args(bool allowed) {
  option_.allow_extra_args(allowed);
  return this;
}

Argument* Argument::delimiter(char between) {
  option_.delimiter(between);
  return this;
}

Argument* Argument::capture_default_str() {
  option_.capture_default_str();
  return this;
}

Argument* Argument::one_of(std::initializer_list<const char*> values) {
  option_.check(CLI::IsMember(std::vector<std::string>(values.begin(), values.end())));
  return this;
}

Argument* Argument::in_range(double least, double most) {
  option_.check(CLI::Range(least, most));
  return this;
}

Argument* Argument::positive() {
  option_.check(CLI::PositiveNumber);
  return this;
}

Argument* Argument::as_size() {
  option_.transform(CLI::AsSizeValue(false));
  return this;
}

template <class Value>
Argument* Arguments::add_option(const std::string& names, Value& value, const std::string& help) {
  return keep(app_.add_option(names, value, help));
}

Argument* Arguments::add_flag(const std::string& names, bool& value, const std::string& help) {
  return keep(app_.add_flag(names, value, help));
}

Argument* Arguments::get_option(const std::string& name) { return keep(app_.get_option(name)); }

Arguments* Arguments::add_subcommand(const std::string& name, const std::string& help) {
  return &subcommands_.emplace_back(*app_.add_subcommand(name, help));
}

void Arguments::require_subcommand(int count) { app_.require_subcommand(count); }

void Arguments::callback(std::function<void()> chosen) { app_.callback(std::move(chosen)); }

Argument* Arguments::keep(CLI::Option* option) { return &arguments_.emplace_back(*option); }

#define MLXGUARD_ARGUMENT(...) \
  template Argument* Arguments::add_option(const std::string&, __VA_ARGS__&, const std::string&);
MLXGUARD_ARGUMENT(std::string)
MLXGUARD_ARGUMENT(std::vector<std::string>)
MLXGUARD_ARGUMENT(std::optional<std::string>)
MLXGUARD_ARGUMENT(double)
MLXGUARD_ARGUMENT(int)
MLXGUARD_ARGUMENT(std::optional<int>)
MLXGUARD_ARGUMENT(std::int64_t)
MLXGUARD_ARGUMENT(std::optional<std::int64_t>)
MLXGUARD_ARGUMENT(std::uint64_t)
MLXGUARD_ARGUMENT(std::optional<std::uint64_t>)
MLXGUARD_ARGUMENT(std::uint32_t)
#undef MLXGUARD_ARGUMENT

}  // namespace mlxguard::cli
