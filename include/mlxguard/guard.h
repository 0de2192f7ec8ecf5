// SPDX-License-Identifier: Apache-2.0
// Guard: verifies models by the operator's keys and policy, and records every decision in the event
// log.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mlxguard/error.h"
#include "mlxguard/model.h"

namespace mlxguard {
MLXGUARD_V1 {

struct Options {
  /// Folder with keys, policy and log; empty: as the command line chooses it
  /// ($XDG_STATE_HOME/mlxguard, for root /var/lib/mlxguard, else ~/.local/state/mlxguard). Relative
  /// paths, here and below, are taken from the folder that is current when the guard is opened.
  std::filesystem::path state{};
  /// mlxguard.toml; empty: none.
  std::filesystem::path config{};
  /// Public keys (PEM) that are trusted besides those of the state folder.
  std::vector<std::filesystem::path> public_keys{};
  /// Called while the files of a model are read, from any thread and a few times a second: bytes
  /// done and in all. One call at a time for each model; the last says that all is done.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress{};
};

/// What a signature says about a folder right now. Not a proof: the files may change right after.
struct Report {
  std::string root_digest;
  std::string signer;
  std::string signer_name;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  /// What the trust policy found wrong and let through, since the model's source only warns.
  std::vector<Error> warnings{};
};

/// Thread-safe: several threads may load at the same time, and none waits for another. In a process
/// that forked from the one that opened the guard, and from within its progress function, every
/// call is the error `usage`.
class MLXGUARD_EXPORT Guard {
 public:
  /// Opens the state folder and its log. Errors: config.*, trust.*, key.*, log.*.
  [[nodiscard]] static Result<Guard> open(Options options = {});

  /// The only way to a Model: reads a folder (or a single file with FILE.sig beside it) once, into
  /// sealed memory, and verifies those very bytes. Every outcome is a durable event first.
  /// `model` may be "store:NAME". `stop` is asked while files are read, from any thread: once it
  /// says true, the call ends with the error io.failed.
  [[nodiscard]] Result<Model> load(const std::filesystem::path& model, std::string name = {},
                                   std::function<bool()> stop = {});
  /// Checks where the files are and loads nothing.
  [[nodiscard]] Result<Report> verify(const std::filesystem::path& model,
                                      std::function<bool()> stop = {});
  /// Returns once every decision so far is in the signed log; waits for no load that is still
  /// running. The destructor does it too, but cannot say how it went.
  [[nodiscard]] Result<std::monostate> close();

  Guard(Guard&&) noexcept;
  Guard& operator=(Guard&&) noexcept;
  ~Guard();

 private:
  struct Impl;
  explicit Guard(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace mlxguard
