// SPDX-License-Identifier: Apache-2.0
#include "knowledge.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "advisories/source.h"
#include "base/os_error.h"
#include "codec/json.h"
#include "inventory/files.h"
#include "key_options.h"
#include "tool_process.h"

namespace mlxguard::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kTextBytesMax = 64u << 20;
constexpr std::chrono::hours kDownloadTimeMax{1};

Result<std::optional<advisories::Database>> open_if_there(const fs::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0 && errno == ENOENT) {
    return std::optional<advisories::Database>();
  }
  MLXGUARD_TRY_ASSIGN(advisories::Database database, advisories::Database::open(file));
  return std::optional(std::move(database));
}

fs::path own_folder() {
  std::array<char, 4096> self{};
  const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size() - 1);
  return fs::path(std::string(self.data(), length > 0 ? static_cast<std::size_t>(length) : 0))
      .parent_path();
}

/// The error that the download's process printed as JSON, or one of ours.
Error download_error(const ToolOutput& ended, const std::string& from) {
  Error error = make_error(ErrorCode::kMirrorUpstream, "the download failed").about(from);
  const auto document = codec::JsonDocument::parse(ended.out);
  if (!document) return error;
  const auto inner = document->root().find("error");
  if (!inner) return error;
  const auto message = inner->find("message");
  const auto code = inner->find("code");
  if (message && message->is(codec::JsonKind::kString)) error.message = *message->as_string();
  if (code && code->is(codec::JsonKind::kString)) {
    if (const ErrorCodeRow* row = find_error_code(*code->as_string())) error.code = row->code;
  }
  return error;
}

/// What a revoked key signed may be anyone's, and could make parts known that nobody looked at. A
/// key that expired signed while it was good.
Result<void> check_signer(Session& session, const std::string& signer) {
  if (signer.empty()) return {};
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  auto good = ring.check_verify(signer, session.clock().now());
  if (good || good.error().code != ErrorCode::kKeyRevoked) return {};
  return std::move(good)
      .error()
      .with("the advisory feed that is here was signed by a key that is no longer good")
      .hinting("take a feed of another key: remove advisories/feed.db, then deps db update --feed");
}

}  // namespace

fs::path catalog_file(const fs::path& state) { return advisories::folder_in(state) / "kev.json"; }

Fetched::Fetched(Fetched&& other) noexcept
    : path(std::move(other.path)), folder_(std::exchange(other.folder_, {})) {}

Fetched::~Fetched() {
  if (folder_.empty()) return;
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Result<Fetched> fetch_if_url(Session& session, const std::string& from) {
  if (from.find("://") == std::string::npos) return Fetched(from);
  MLXGUARD_TRY_ASSIGN(const fs::path state, session.state());
  std::error_code ignored;  // mkdtemp below reports what matters
  fs::create_directories(advisories::folder_in(state), ignored);
  std::string folder = (advisories::folder_in(state) / "download.XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return os_error("create", folder).about(folder);
  fs::path name = fs::path(from.substr(0, from.find_first_of("?#"))).filename();
  if (name.empty()) name = "download";
  Fetched fetched(fs::path(folder) / name, folder);
  session.output().note("downloading " + printable(from));
  MLXGUARD_TRY_ASSIGN(const ToolOutput ended, run_tool({(own_folder() / "mlxguard-mirror").string(),
                                                        "fetch", from, fetched.path.string()},
                                                       kDownloadTimeMax));
  if (ended.status != 0) return download_error(ended, from);
  return fetched;
}

advisories::Knowledge LoadedKnowledge::view() const {
  return {osv ? &*osv : nullptr, feed ? &*feed : nullptr, vex, vex_products, exploited};
}

Result<LoadedKnowledge> load_knowledge(Session& session, const std::vector<std::string>& vex_files,
                                       const std::string& kev_file) {
  MLXGUARD_TRY_ASSIGN(const fs::path state, session.state());
  LoadedKnowledge loaded;
  MLXGUARD_TRY_ASSIGN(loaded.osv, open_if_there(advisories::database_file(state)));
  MLXGUARD_TRY_ASSIGN(loaded.feed, open_if_there(advisories::feed_file(state)));
  if (loaded.feed) MLXGUARD_TRY(check_signer(session, loaded.feed->info().signer));
  for (const std::string& file : vex_files) {
    MLXGUARD_TRY_ASSIGN(const std::string text, inventory::read_file(file, kTextBytesMax));
    auto statements = advisories::parse_vex(text);
    if (!statements) {
      Error error = std::move(statements).error();
      return std::move(error).with("file", file);
    }
    for (auto& one : *statements) {
      one.number = loaded.vex.size();
      loaded.vex.push_back(std::move(one));
    }
  }
  const fs::path catalog = kev_file.empty() ? catalog_file(state) : fs::path(kev_file);
  std::error_code ignored;
  if (!kev_file.empty() || fs::exists(catalog, ignored)) {
    MLXGUARD_TRY_ASSIGN(const std::string text, inventory::read_file(catalog, kTextBytesMax));
    MLXGUARD_TRY_ASSIGN(loaded.exploited, advisories::parse_kev(text));
  }
  return loaded;
}

}  // namespace mlxguard::cli
