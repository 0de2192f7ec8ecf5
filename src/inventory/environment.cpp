// SPDX-License-Identifier: Apache-2.0
#include "inventory/environment.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/limits.h"
#include "codec/text.h"
#include "inventory/distribution.h"
#include "inventory/environment_elsewhere.h"
#include "inventory/files.h"
#include "inventory/native_parts.h"
#include "inventory/parallel.h"
#include "inventory/requirement_graph.h"
#include "inventory/vendored.h"
#include "inventory/system_libraries.h"

namespace mlxguard::inventory {
namespace {

namespace fs = std::filesystem;
using Kind = Observation::Kind;

constexpr std::size_t kUnrecordedShownMax = 100;  // a folder; beyond it a number is said

bool is_library_name(std::string_view name) {
  return name.ends_with(".so") || name.ends_with(".dylib") ||
         name.find(".so.") != std::string_view::npos;
}

Error record_error(std::string message) {
  return make_error(ErrorCode::kDepsRecord, std::move(message));
}

/// What is to be done with one file, and what came of it.
struct FileTask {
  std::string path;                ///< relative to the prefix
  std::size_t owner = 0;           ///< index of a distribution; the number of them: none
  const RecordRow* row = nullptr;  ///< nothing to compare: null
  std::optional<Observation::Kind> kind{};
  Error error{};
  std::uint64_t bytes = 0;
  std::string sha256{};
  std::vector<NativeSummary> slices{};
};

class EnvironmentReader {
 public:
  EnvironmentReader(const EnvironmentPlace& place, const ReadOptions& options)
      : place_(place), options_(options) {}

  Result<Inventory> read(const std::string& shown_root) {
    for (const std::string& site : place_.site_packages) MLXGUARD_TRY(list_files(site));
    read_distributions();
    if (distributions_.empty() && files_.empty() && !place_.is_virtual) {
      return make_error(ErrorCode::kDepsEnvironment, "no package is installed here")
          .about(shown_root)
          .hinting("name the environment's folder, the one with pyvenv.cfg");
    }
    for (const Distribution& distribution : distributions_) {
      embedded_.push_back(add_distribution(distribution, builder_));
    }
    make_tasks();
    run_tasks();
    take_results();
    add_copies();
    observe_unrecorded();
    observe_hooks();
    observe_elsewhere(place_, builder_);
    add_requirements(distributions_, {place_.python_version}, builder_);
    return std::move(builder_).build(shown_root, "environment");
  }

 private:
  fs::path absolute(const std::string& path) const { return place_.prefix / path; }

  /// Every file below a site-packages folder. Links to folders are not followed, since what they
  /// lead to may be all of the machine; no installer makes them, and Python imports through them.
  Result<void> list_files(const std::string& site) {
    std::error_code problem;
    fs::recursive_directory_iterator at(absolute(site), problem);
    if (problem) {
      builder_.observe(Kind::kUnreadable, "", site, make_error(ErrorCode::kIo, problem.message()));
      return {};
    }
    for (const fs::recursive_directory_iterator end; at != end; at.increment(problem)) {
      if (problem) break;
      const std::string path = at->path().lexically_relative(place_.prefix).generic_string();
      std::error_code ignored;
      if (at.depth() == 0) observe_egg(path, builder_);
      if (at->is_symlink(ignored) && at->is_directory(ignored)) {
        const bool is_info = at.depth() == 0 && is_info_folder(at->path().filename().string());
        if (is_info) infos_.push_back(path);  // its package is imported all the same
        builder_.observe(Kind::kUnrecorded, "", path,
                         record_error("a link to a folder, whose files no RECORD lists"));
        continue;
      }
      if (at->is_directory(ignored)) {
        const std::string name = at->path().filename().string();
        if (at.depth() == 0 && name.starts_with('~')) {
          builder_.observe(Kind::kUnrecorded, "", path,
                           record_error("left over by pip from an installation that it replaced")
                               .hinting("Python does not import it: remove the folder"));
          at.disable_recursion_pending();
          continue;
        }
        if (at.depth() == 0 && is_info_folder(name)) infos_.push_back(path);
        if (at.depth() >= static_cast<int>(limits::kEnvironmentDepthMax)) {
          builder_.observe(Kind::kUnreadable, "", path,
                           make_error(ErrorCode::kTooLarge, "folders nested deeper than allowed"));
          at.disable_recursion_pending();
        }
        continue;
      }
      if (at.depth() == 0 && path.ends_with(".egg-info")) infos_.push_back(path);
      if (files_.size() >= limits::kEnvironmentFilesMax) {
        return make_error(ErrorCode::kTooLarge, "the environment has more files than allowed");
      }
      files_.push_back(path);
    }
    if (problem) {
      builder_.observe(Kind::kUnreadable, "", site, make_error(ErrorCode::kIo, problem.message()));
    }
    return {};
  }

  std::vector<std::string> sbom_files(const std::string& folder) const {
    std::vector<std::string> found;
    const std::string start = folder + "/sboms/";
    for (auto file = std::lower_bound(files_.begin(), files_.end(), start);
         file != files_.end() && file->starts_with(start); ++file) {
      found.push_back(*file);
    }
    return found;
  }

  void read_distributions() {
    std::sort(files_.begin(), files_.end());
    std::sort(infos_.begin(), infos_.end());
    std::map<std::string, std::string> seen;  // name -> folder
    for (const std::string& folder : infos_) {
      const bool single = folder.ends_with(".egg-info") && fs::is_regular_file(absolute(folder));
      const FileReader read = [&](const std::string& path,
                                  std::uint64_t bytes_max) -> Result<std::string> {
        if (!single) return read_file(absolute(path), bytes_max);
        if (path != folder + "/PKG-INFO") return make_error(ErrorCode::kNotFound, "no such file");
        return read_file(absolute(folder), bytes_max);
      };
      auto distribution = read_distribution(folder, read, sbom_files(folder), builder_);
      if (!distribution) {
        builder_.observe(Kind::kUnreadable, "", folder,
                         std::move(distribution).error().with("this package cannot be told"));
        continue;
      }
      if (folder.ends_with(".egg-info")) {
        distribution->properties.emplace_back("format", "egg-info");
        builder_.observe(Kind::kRecordMissing, distribution->purl, folder,
                         record_error("installed as an egg: there is no RECORD"));
      }
      const auto [other, is_new] = seen.emplace(distribution->name, folder);
      if (!is_new) {
        builder_.observe(Kind::kDuplicate, distribution->purl, folder,
                         make_error(ErrorCode::kDepsEnvironment,
                                    "a second installation of " + distribution->name)
                             .compared(other->second, folder)
                             .hinting("which of them Python imports is chance: remove one"));
      }
      distributions_.push_back(*std::move(distribution));
    }
  }

  void make_tasks() {
    for (std::size_t owner = 0; owner < distributions_.size(); ++owner) {
      const Distribution& distribution = distributions_[owner];
      if (!distribution.record) continue;
      for (const RecordRow& row : *distribution.record) add_task(owner, distribution, row);
    }
    // Files of no package are looked into as well: a library does not need a RECORD to be loaded.
    for (const std::string& path : files_) {
      if (owner_of_.contains(path)) continue;
      unrecorded_.push_back(path);
      if (options_.native == NativeParts::kRead && is_library_name(base_name(path))) {
        tasks_.push_back({.path = path, .owner = distributions_.size()});
      }
    }
  }

  void add_task(std::size_t owner, const Distribution& distribution, const RecordRow& row) {
    // An absolute path is allowed by the format, and never needed below an environment.
    const std::string path = join_inside(distribution.base, row.path);
    const std::string shown = path.empty() ? row.path : path;
    if (path.empty()) {
      builder_.observe(Kind::kRecordMismatch, distribution.purl, shown,
                       record_error("RECORD lists a file outside of the environment"));
      return;
    }
    owner_of_.emplace(path, owner);
    if (options_.records == RecordCheck::kNone &&
        (options_.native == NativeParts::kSkip || !is_library_name(base_name(path)))) {
      return;
    }
    const bool may_lack = path == distribution.folder + "/RECORD" || path.ends_with(".pyc") ||
                          path.starts_with(distribution.folder + "/RECORD.");
    if (!row.hash.empty()) {
      tasks_.push_back({.path = path, .owner = owner, .row = &row});
    } else if (!may_lack) {
      builder_.observe(Kind::kRecordMissing, distribution.purl, path,
                       record_error("RECORD has no hash of this file"));
    } else if (!std::binary_search(files_.begin(), files_.end(), path) &&
               path == distribution.folder + "/RECORD") {
      builder_.observe(Kind::kRecordMissing, distribution.purl, path,
                       record_error("the file is not there"));
    }
  }

  void run_tasks() {
    for (FileTask& task : tasks_) {
      if (task.row != nullptr && task.row->size) task.bytes = *task.row->size;
      bytes_total_ += task.bytes;
    }
    // Large ones first, so that the last of them does not run alone.
    std::vector<std::size_t> order(tasks_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return tasks_[a].bytes > tasks_[b].bytes;
    });
    std::atomic<std::uint64_t> done{0};
    parallel_for(order.size(), options_.threads, [&](std::size_t i) {
      FileTask& task = tasks_[order[i]];
      check_file(task);
      if (options_.progress) options_.progress(done += task.bytes, bytes_total_);
    });
  }

  void check_file(FileTask& task) const {
    const auto bytes = read_file(absolute(task.path), limits::kNativeFileBytesMax);
    const auto fail = [&](Kind kind, Error error) {
      task.kind = kind;
      task.error = std::move(error);
    };
    if (!bytes) {
      const bool absent = bytes.error().code == ErrorCode::kNotFound;
      return fail(absent ? Kind::kRecordMissing : Kind::kUnreadable,
                  absent ? record_error("the file is not there") : bytes.error());
    }
    std::optional<crypto::Sha256Digest> digest;
    if (task.row != nullptr && options_.records == RecordCheck::kFiles) {
      const auto hash = parse_file_hash(task.row->hash);
      if (!hash) return fail(Kind::kRecordMissing, hash.error());
      const std::string wanted = file_hash_text(*hash);
      std::string actual;
      if (hash->algorithm == crypto::HashAlgorithm::kSha256) {
        digest = crypto::sha256(as_bytes(*bytes));
        actual = file_hash_text({hash->algorithm, {digest->begin(), digest->end()}});
      } else {
        actual = file_hash(hash->algorithm, as_bytes(*bytes));
      }
      if (wanted != actual) {
        fail(Kind::kRecordMismatch,
             record_error("the file is not what RECORD says").compared(wanted, actual));
      }
    }
    if (options_.native == NativeParts::kSkip || !is_native(as_bytes(*bytes))) return;
    if (!digest) digest = crypto::sha256(as_bytes(*bytes));
    task.sha256 = codec::to_hex(*digest);
    auto slices = summarize(as_bytes(*bytes));
    if (slices)
      task.slices = *std::move(slices);
    else if (!task.kind)
      fail(Kind::kUnreadable, slices.error());
  }

  void take_results() {
    std::vector<NativeOwner> owners;
    for (std::size_t i = 0; i < distributions_.size(); ++i) {
      owners.push_back({distributions_[i].purl, distributions_[i].name,
                        distributions_[i].metadata.version,
                        std::set<std::string>(embedded_[i].begin(), embedded_[i].end())});
    }
    owners.emplace_back();
    std::vector<NativeEntry> natives;
    for (FileTask& task : tasks_) {
      if (task.kind)
        builder_.observe(*task.kind, owners[task.owner].purl, task.path, std::move(task.error));
      if (!task.slices.empty()) {
        natives.push_back({task.path, task.sha256, task.owner, std::move(task.slices)});
      }
    }
    std::sort(natives.begin(), natives.end(),
              [](const NativeEntry& a, const NativeEntry& b) { return a.path < b.path; });
    HostLibraries host;
    add_native_parts(builder_, owners, natives, host);
  }

  void add_copies() {
    const FileReader read = [&](const std::string& path, std::uint64_t bytes_max) {
      return read_file(absolute(path), bytes_max);
    };
    add_vendored(
        files_,
        [&](const std::string& path) {
          const auto owner = owner_of_.find(path);
          return owner == owner_of_.end() ? std::string() : distributions_[owner->second].purl;
        },
        read, builder_);
  }

  /// Byte code beside a known source is made by Python itself; other byte code can be imported
  /// alone.
  bool is_cached_code(const std::string& path) const {
    if (!path.ends_with(".pyc")) return false;
    const std::string_view folder = folder_name(path);
    if (base_name(folder) != "__pycache__") return false;
    const std::string_view name = base_name(path);
    const std::string source = std::string(folder_name(folder)) + "/" +
                               std::string(name.substr(0, name.find('.'))) + ".py";
    return std::binary_search(files_.begin(), files_.end(), source);
  }

  bool belongs_to_info(const std::string& path) const {
    return std::any_of(infos_.begin(), infos_.end(), [&](const std::string& info) {
      return info.ends_with(".egg-info") && (path == info || path.starts_with(info + "/"));
    });
  }

  void observe_unrecorded() {
    std::map<std::string, std::vector<std::string>> by_folder;
    for (const std::string& path : unrecorded_) {
      if (is_cached_code(path) || belongs_to_info(path)) continue;
      by_folder[std::string(folder_name(path))].push_back(path);
    }
    for (const auto& [folder, paths] : by_folder) {
      for (std::size_t i = 0; i < paths.size() && i < kUnrecordedShownMax; ++i) {
        builder_.observe(Kind::kUnrecorded, "", paths[i],
                         record_error("a file that no RECORD lists"));
      }
      if (paths.size() > kUnrecordedShownMax) {
        builder_.observe(Kind::kUnrecorded, "", folder,
                         record_error(std::to_string(paths.size() - kUnrecordedShownMax) +
                                      " more files here that no RECORD lists"));
      }
    }
  }

  void observe_hooks() {
    for (const std::string& path : files_) {
      const std::string folder(folder_name(path));
      if (std::find(place_.site_packages.begin(), place_.site_packages.end(), folder) ==
          place_.site_packages.end()) {
        continue;
      }
      const auto owner = owner_of_.find(path);
      const std::string purl = owner == owner_of_.end() ? "" : distributions_[owner->second].purl;
      const std::string_view name = base_name(path);
      if (name == "sitecustomize.py" || name == "usercustomize.py") {
        builder_.observe(Kind::kInstallHook, purl, path,
                         record_error("a module that every start of Python runs"));
      }
      if (!name.ends_with(".pth")) continue;
      const auto text = read_file(absolute(path), limits::kPathFileBytesMax);
      if (!text) {
        builder_.observe(Kind::kUnreadable, purl, path, text.error());
        continue;
      }
      observe_path_file(*text, purl, path, builder_);
      observe_added_folders(absolute(folder), path, *text, distributions_, builder_);
    }
  }

  const EnvironmentPlace& place_;
  const ReadOptions& options_;
  Builder builder_;
  std::vector<std::string> files_, infos_, unrecorded_;
  std::vector<Distribution> distributions_;
  std::vector<std::vector<std::string>> embedded_;
  std::vector<FileTask> tasks_;
  std::unordered_map<std::string, std::size_t> owner_of_;
  std::uint64_t bytes_total_ = 0;
};

}  // namespace

Result<Inventory> read_environment(const EnvironmentPlace& place, const std::string& shown_root,
                                   const ReadOptions& options) {
  return EnvironmentReader(place, options).read(shown_root);
}

}  // namespace mlxguard::inventory
