// SPDX-License-Identifier: Apache-2.0
// Decisions: every one becomes an event, durable before the answer, and the file's record for
// `deps mirror list`. A decision that cannot be logged is not carried out.
#pragma once

#include <map>
#include <string>

#include "base/clock.h"
#include "events/event_log.h"
#include "mirror/policy.h"
#include "mirror/store.h"
#include "net.h"

namespace mlxguard::mirror {

class Decisions {
 public:
  Decisions(asio::io_context& io, asio::thread_pool& pool, Store& store, events::EventLog& log,
            const Clock& clock);

  /// Errors: kLogWrite.
  [[nodiscard]] Task<Result<void>> report(std::string project, const ProjectFile& file,
                                          const Decision& decision, std::string client);
  /// A file that could not be had: a wrong digest, no answer.
  [[nodiscard]] Task<Result<void>> report_failure(std::string project, const ProjectFile& file,
                                                  const Error& error, std::string client);
  /// Files that a project page does not show; told again only when they change.
  [[nodiscard]] Task<Result<void>> report_hidden(std::string project, std::size_t held,
                                                 std::size_t not_allowed, std::string newest);
  /// A page that is not understood.
  [[nodiscard]] Task<Result<void>> report_page(std::string project, const Error& error);

 private:
  [[nodiscard]] Task<Result<void>> append(events::Event event);
  void keep(const std::string& project, const ProjectFile& file, const Decision& decision);

  asio::io_context& io_;
  asio::thread_pool& pool_;
  Store& store_;
  events::EventLog& log_;
  const Clock& clock_;
  std::map<std::string, std::string> kept_;    ///< record id -> last decision on disk
  std::map<std::string, std::string> hidden_;  ///< project -> what was told of it last
};

}  // namespace mlxguard::mirror
