// SPDX-License-Identifier: Apache-2.0
// The options of a command as CLI11 reads them, without CLI11's headers: each source that includes
// those compiles all of that library again, which took most of the build of the command lines.
// Where this interface does not suffice, native() leads to CLI11 itself.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace mlxguard::cli {

/// An option, flag or positional argument. Each condition returns the argument itself, so that
/// conditions chain.
class Argument {
 public:
  explicit Argument(CLI::Option& option) : option_(option) {}

  Argument* required();
  Argument* excludes(const Argument* other);
  Argument* needs(const Argument* other);
  /// Whether an option takes several values at once, as in "--option a b".
  Argument* allow_extra_args(bool allowed);
  /// One value may hold several, with this between them.
  Argument* delimiter(char between);
  /// Help shows the value that the variable has now.
  Argument* capture_default_str();
  Argument* one_of(std::initializer_list<const char*> values);
  Argument* in_range(double least, double most);
  Argument* positive();
  /// "64kB" and "1MiB" become numbers of bytes.
  Argument* as_size();

 private:
  CLI::Option& option_;
};

/// The arguments of one command. Whatever it hands out lives as long as it does.
class Arguments {
 public:
  explicit Arguments(CLI::App& app) : app_(app) {}
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  /// `names` is "-s,--long", or a name without dashes for a positional argument. The value is
  /// written when the command line is read. Instantiated for the types at the end of arguments.cpp.
  template <class Value>
  Argument* add_option(const std::string& names, Value& value, const std::string& help);
  Argument* add_flag(const std::string& names, bool& value, const std::string& help);
  /// The argument of this name, which exists.
  Argument* get_option(const std::string& name);
  Arguments* add_subcommand(const std::string& name, const std::string& help);
  void require_subcommand(int count);
  /// Called when this command is the one that was chosen, after all of the line was read.
  void callback(std::function<void()> chosen);

  [[nodiscard]] CLI::App& native() { return app_; }

 private:
  Argument* keep(CLI::Option* option);

  CLI::App& app_;
  std::deque<Argument> arguments_;     // a deque: handed out pointers stay good
  std::deque<Arguments> subcommands_;
};

}  // namespace mlxguard::cli
