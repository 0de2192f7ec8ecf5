// SPDX-License-Identifier: Apache-2.0
// Decisions: every one becomes an event, durable before the answer, and the file's record for
// `deps mirror list`. A decision that cannot be logged is not carried out.
#pragma once

#include <map>
#include <string>

#include "base/clock.h"
#include "log/event_log.h"
#include "mirror/policy.h"
#include "mirror/store.h"
#include "net.h"

namespace mlxguard::mirror {

class Decisions {
 public:
  Decisions(asio::io_context& io, asio::thread_pool& pool, Store& store, log::EventLog& log,
            const Clock& clock);

  /// Errors: kLogWrite.
  [[nodiscard]] Task<Result<void>> report(std::string project, const ProjectFile& file,
                                          const Decision& decision, std::string client);
  /// A file that could not be had: a wrong digest, no answer.
  [[nodiscard]] Task<Result<void>> report_failure(std::string project, const ProjectFile& file,
                                                  const Error& error, std::string client);
  /// A file that a page does not show yet, for `deps mirror list`; no event.
  void keep_hidden(const std::string& project, const ProjectFile& file, const Decision& decision) {
    keep(project, file, decision);
  }
  /// The text beside a file, which is served or refused like the file.
  [[nodiscard]] Task<Result<void>> report_metadata(std::string project, const ProjectFile& file,
                                                   std::string client);
  struct Hidden {
    std::size_t held = 0;         ///< inside the cooldown
    std::size_t not_allowed = 0;  ///< not on the allow-list
    std::string newest;
    std::size_t skipped = 0;  ///< entries that were not understood
    std::string skipped_why;
  };
  /// Files that a project page does not show; told again only when they change.
  [[nodiscard]] Task<Result<void>> report_hidden(std::string project, Hidden hidden);
  /// A page that is not understood; told again only when that changes.
  [[nodiscard]] Task<Result<void>> report_page(std::string project, const Error& error);
  /// It is understood again: the next trouble is told.
  void page_is_understood(const std::string& project) { pages_.erase(project); }
  /// A client without a valid key.
  [[nodiscard]] Task<Result<void>> report_stranger(std::string client);

 private:
  [[nodiscard]] Task<Result<void>> append(record::Event event);
  /// True if this was said last; remembers it otherwise.
  [[nodiscard]] static bool is_told(std::map<std::string, std::string>& last,
                                    const std::string& key, const std::string& told);
  void keep(const std::string& project, const ProjectFile& file, const Decision& decision);

  asio::io_context& io_;
  asio::thread_pool& pool_;
  Store& store_;
  log::EventLog& log_;
  const Clock& clock_;
  std::map<std::string, std::string> kept_;    ///< record id -> last decision on disk
  std::map<std::string, std::string> hidden_;  ///< project -> what was told of it last
  std::map<std::string, std::string> pages_;   ///< the same, of pages that are not understood
};

}  // namespace mlxguard::mirror
