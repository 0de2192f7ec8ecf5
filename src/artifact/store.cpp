// SPDX-License-Identifier: Apache-2.0
#include "artifact/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "artifact/store_record.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "codec/text.h"
#include "crypto/digest.h"

namespace mlxguard::artifact {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRecordContext = "mlxguard store record 1";
constexpr std::string_view kIncoming = ".incoming";
constexpr std::size_t kDigestHexBytes = 64;
constexpr std::size_t kShortestPrefix = 8;

bool is_digest(std::string_view text) {
  return text.size() == kDigestHexBytes &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<void> make_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return os_error("create", path.string());
  return {};
}

/// Nobody but this user may write here (root may everywhere, and is this user's master).
Result<void> check_guarded(const fs::path& path, mode_t forbidden, ErrorCode code) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return os_error("stat", path.string());
  const bool single_name = !S_ISREG(status.st_mode) || status.st_nlink == 1;
  if (status.st_uid == ::geteuid() && (status.st_mode & forbidden) == 0 && single_name &&
      !S_ISLNK(status.st_mode)) {
    return {};
  }
  return make_error(code, "expected that only the operator could have written this")
      .about(path.string());
}

Result<UniqueFd> lock_folder(const fs::path& path, int how) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.is_open()) return os_error("open", path.string());
  while (::flock(fd.get(), how) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) {
      return make_error(ErrorCode::kStoreInUse, "the model is being read or written")
          .about(path.filename().string());
    }
    return os_error("lock", path.string());
  }
  return fd;
}

/// Folders of stored models are 0500: they must be writable to be emptied.
void remove_tree(const fs::path& path) {
  std::error_code ignored;
  fs::permissions(path, fs::perms::owner_all, ignored);
  for (fs::recursive_directory_iterator it(path, ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) {
      fs::permissions(it->path(), fs::perms::owner_all, ignored);
    }
  }
  fs::remove_all(path, ignored);
}

Result<void> sync_folder(const fs::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open() || ::fsync(fd.get()) != 0) return os_error("sync", path.string());
  return {};
}

/// Folders become 0500, deepest first, and everything that names a file is on the disk.
Result<void> protect_folders(const fs::path& path) {
  std::vector<fs::path> folders{path};
  std::error_code problem;
  for (fs::recursive_directory_iterator it(path, problem), end; !problem && it != end;
       it.increment(problem)) {
    if (it->is_directory(problem)) folders.push_back(it->path());
  }
  if (problem) return make_error(ErrorCode::kIo, problem.message()).about(path.string());
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    MLXGUARD_TRY(sync_folder(*folder));
    if (::chmod(folder->c_str(), 0500) != 0) return os_error("protect", folder->string());
  }
  return {};
}

/// Of every file of the model as it lies in the store now.
Result<std::vector<std::pair<std::string, FileIdentity>>> identities_of(const fs::path& path) {
  MLXGUARD_TRY_ASSIGN(const ModelFolder folder, ModelFolder::open(path));
  MLXGUARD_TRY_ASSIGN(const auto entries, folder.enumerate({}));
  std::vector<std::pair<std::string, FileIdentity>> files;
  for (const FileEntry& entry : entries) {
    MLXGUARD_TRY_ASSIGN(const FileIdentity identity, folder.identify(entry.name));
    files.emplace_back(entry.name, identity);
  }
  return files;
}

}  // namespace

IncomingModel::~IncomingModel() {
  if (folder_.is_open()) remove_tree(path_);
}

Result<Store> Store::open(const fs::path& state, crypto::Random& random) {
  MLXGUARD_TRY(make_folder(state));
  MLXGUARD_TRY_ASSIGN(LocalMac mac, LocalMac::open(state / "keys", random));
  Store store(state / "store", std::move(mac));
  for (const fs::path& folder : {store.root_, store.root_ / "models", store.root_ / "records"}) {
    MLXGUARD_TRY(make_folder(folder));
    MLXGUARD_TRY(check_guarded(folder, 0022, ErrorCode::kUnsafePermissions));
  }
  return store;
}

fs::path Store::folder_of(const std::string& digest) const { return root_ / "models" / digest; }
fs::path Store::record_of(const std::string& digest) const { return root_ / "records" / digest; }
Result<UniqueFd> Store::lock() const { return lock_folder(root_, LOCK_EX); }

fs::path Store::path_of(const StoredModel& model) const {
  const fs::path folder = folder_of(model.root_digest);
  return model.single_file.empty() ? folder : folder / model.single_file;
}

Result<StoredModel> Store::read_record(const std::string& digest) const {
  auto text = read_file(record_of(digest), limits::kReceiptBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return make_error(ErrorCode::kStoreMissing, "the store holds no such model").about(digest);
  }
  if (!text) return std::move(text).error();
  const auto refused = [&](Error error) -> Error { return std::move(error).about(digest); };
  const auto inside = mac_.unseal(kRecordContext, *text);
  if (!inside) return refused(Error(inside.error()));
  auto model = read_record_text(*inside);
  if (!model) return refused(std::move(model).error());
  if (model->root_digest != digest) {
    return make_error(ErrorCode::kStoreReceipt, "the record of another model").about(digest);
  }
  return model;
}

Result<void> Store::write_record(const StoredModel& model) const {
  return replace_file(record_of(model.root_digest),
                      mac_.seal(kRecordContext, write_record_text(model)));
}

Result<std::vector<Store::Listed>> Store::list() const {
  std::vector<Listed> listed;
  std::error_code problem;
  for (fs::directory_iterator it(root_ / "records", problem), end; !problem && it != end;
       it.increment(problem)) {
    const std::string digest = it->path().filename().string();
    if (!is_digest(digest)) continue;  // an unfinished record
    if (listed.size() >= limits::kStoredModelsMax) {
      return make_error(ErrorCode::kTooLarge, "the store holds more models than it may");
    }
    listed.push_back({digest, read_record(digest)});
  }
  if (problem) return make_error(ErrorCode::kIo, problem.message()).about(root_.string());
  std::sort(listed.begin(), listed.end(), [](const Listed& left, const Listed& right) {
    const auto key = [](const Listed& one) {
      return std::pair(one.model ? one.model->name : std::string(), one.digest);
    };
    return key(left) < key(right);
  });
  return listed;
}

Result<StoredModel> Store::find(std::string_view name_or_digest) const {
  if (name_or_digest.starts_with(kStorePrefix)) name_or_digest.remove_prefix(kStorePrefix.size());
  if (is_digest(name_or_digest)) return read_record(std::string(name_or_digest));
  MLXGUARD_TRY_ASSIGN(auto listed, list());
  std::vector<Listed*> by_prefix;
  for (Listed& one : listed) {
    if (one.model && one.model->name == name_or_digest) return std::move(one.model);
    if (name_or_digest.size() >= kShortestPrefix && one.digest.starts_with(name_or_digest)) {
      by_prefix.push_back(&one);
    }
  }
  if (by_prefix.size() == 1) return std::move(by_prefix.front()->model);
  return make_error(ErrorCode::kStoreMissing, "the store holds no model of this name or digest")
      .about(std::string(name_or_digest.substr(0, 256)))
      .hinting("mlxguard model list");
}

/// With the lock of the store: what one that was killed left, an unfinished copy, a model whose
/// record was not written or is gone already, an unfinished record.
void Store::clean_up() const {
  std::error_code ignored;
  for (fs::directory_iterator it(root_ / "models", ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    std::error_code problem;
    const bool recorded = is_digest(name) && (fs::exists(record_of(name), problem) || problem);
    if (name == kIncoming || (is_digest(name) && !recorded)) remove_tree(it->path());
  }
  for (fs::directory_iterator it(root_ / "records", ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.') && name.find(".new") != name.npos) ::unlink(it->path().c_str());
  }
}

Result<IncomingModel> Store::begin() const {
  MLXGUARD_TRY_ASSIGN(UniqueFd locked, lock());
  clean_up();
  const fs::path path = root_ / "models" / kIncoming;
  if (::mkdir(path.c_str(), 0700) != 0) return os_error("create", path.string());
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.is_open()) return os_error("open", path.string());
  return IncomingModel(path, std::move(folder), std::move(locked));
}

Result<void> Store::put_bundle(const IncomingModel& incoming, const std::string& name,
                               std::string_view text) const {
  const fs::path path = incoming.path_ / name;
  MLXGUARD_TRY(make_folder(path.parent_path()));
  MLXGUARD_TRY(replace_file(path, text));
  if (::chmod(path.c_str(), 0400) != 0) return os_error("protect", path.string());
  return {};
}

Result<void> Store::check_free(const std::string& name, const std::string& digest) const {
  MLXGUARD_TRY_ASSIGN(const auto listed, list());
  for (const Listed& one : listed) {
    if (one.digest == digest) {
      return make_error(ErrorCode::kAlreadyExists, "the store holds this model")
          .about(one.model ? one.model->name : one.digest)
          .hinting("mlxguard model list");
    }
    if (!one.model || one.model->name != name) continue;
    return make_error(ErrorCode::kAlreadyExists, "the store holds another model of this name")
        .about(name)
        .hinting("choose another name with --name, or remove the stored one");
  }
  return {};
}

Result<StoredModel> Store::finish(IncomingModel incoming, StoredModel model) const {
  MLXGUARD_CHECK(is_digest(model.root_digest));
  MLXGUARD_TRY(check_free(model.name, model.root_digest));
  MLXGUARD_TRY(protect_folders(incoming.path_));
  const fs::path place = folder_of(model.root_digest);
  remove_tree(place);  // without a record it is what a kill left of a removal
  if (::rename(incoming.path_.c_str(), place.c_str()) != 0)
    return os_error("rename", place.string());
  incoming.path_ = place;  // until the record stands, it is removed again
  MLXGUARD_TRY(sync_folder(root_ / "models"));
  MLXGUARD_TRY_ASSIGN(model.files, identities_of(path_of(model)));
  MLXGUARD_TRY(write_record(model));
  incoming.folder_.reset();
  return model;
}

Result<StoredModel> Store::remove(std::string_view name_or_digest) const {
  MLXGUARD_TRY_ASSIGN(const UniqueFd locked, lock());
  // What cannot be read any more can still be removed, by its whole digest.
  auto model = find(name_or_digest);
  if (!model && model.error().code == ErrorCode::kStoreReceipt && is_digest(name_or_digest)) {
    StoredModel damaged;
    damaged.root_digest = name_or_digest;
    model = std::move(damaged);
  }
  if (!model) return model;
  const fs::path place = folder_of(model->root_digest);
  auto held = lock_folder(place, LOCK_EX | LOCK_NB);
  if (!held && held.error().code != ErrorCode::kNotFound) return std::move(held).error();
  if (::unlink(record_of(model->root_digest).c_str()) != 0 && errno != ENOENT) {
    return os_error("remove", model->root_digest);
  }
  MLXGUARD_TRY(sync_folder(root_ / "records"));
  remove_tree(place);
  return model;
}

Result<void> Store::renew(const StoredModel& model) const {
  MLXGUARD_TRY_ASSIGN(const UniqueFd locked, lock());
  MLXGUARD_TRY_ASSIGN(const StoredModel known,
                      read_record(model.root_digest));  // not removed since
  const bool whole =
      std::equal(known.files.begin(), known.files.end(), model.files.begin(), model.files.end(),
                 [](const auto& before, const auto& now) { return before.first == now.first; });
  if (!whole) {
    return make_error(ErrorCode::kArtifactChanged, "a file was touched while it was hashed")
        .about(model.name);
  }
  return write_record(model);
}

Result<UniqueFd> Store::hold(const StoredModel& model) const {
  return lock_folder(folder_of(model.root_digest), LOCK_SH);
}

Result<Receipt> Store::receipt(const StoredModel& model, std::string_view policy) const {
  if (model.policy != policy) {
    return make_error(ErrorCode::kStoreReceipt, "admitted under another trust policy")
        .compared(std::string(policy), model.policy);
  }
  const fs::path folder = folder_of(model.root_digest);
  for (const fs::path& above : {root_.parent_path(), root_, root_ / "models"}) {
    MLXGUARD_TRY(check_guarded(above, 0022, ErrorCode::kStoreReceipt));
  }
  MLXGUARD_TRY(check_guarded(folder, 0222, ErrorCode::kStoreReceipt));
  for (const auto& [name, identity] : model.files) {
    if (name == ".") {
      MLXGUARD_TRY(check_guarded(path_of(model), 0222, ErrorCode::kStoreReceipt));
      continue;
    }
    for (std::size_t end = name.find('/'); end != std::string::npos;
         end = name.find('/', end + 1)) {
      MLXGUARD_TRY(check_guarded(folder / name.substr(0, end), 0222, ErrorCode::kStoreReceipt));
    }
    MLXGUARD_TRY(check_guarded(folder / name, 0222, ErrorCode::kStoreReceipt));
  }
  const fs::path bundle =
      model.single_file.empty() ? folder / kSignatureFile : folder / (model.single_file + ".sig");
  MLXGUARD_TRY_ASSIGN(const std::string text, read_file(bundle, limits::kBundleBytesMax));
  if (codec::to_hex(crypto::sha256(as_bytes(text))) != model.bundle_digest) {
    return make_error(ErrorCode::kStoreReceipt, "admitted with another signature")
        .about(model.root_digest);
  }
  Receipt receipt;
  receipt.root_digest_ = model.root_digest;
  receipt.manifest_digest_ = model.manifest_digest;
  receipt.files_ = model.files;
  return receipt;
}

}  // namespace mlxguard::artifact
