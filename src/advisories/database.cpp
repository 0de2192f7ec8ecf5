// SPDX-License-Identifier: Apache-2.0
#include "advisories/database.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "advisories/record_json.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"

namespace mlxguard::advisories {
namespace {

constexpr std::string_view kMagic = "MLXGADV1";
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kRowBytes = 4 * sizeof(std::uint64_t);
constexpr std::size_t kSkippedKept = 100;

Error damaged(std::string what) {
  return make_error(ErrorCode::kAdvisoryDatabase,
                    "the advisory database is damaged: " + std::move(what))
      .hinting("mlxguard deps db update makes it anew");
}

template <class Number>
void put(std::string& out, Number value) {
  std::array<char, sizeof(Number)> bytes{};
  std::memcpy(bytes.data(), &value,
              sizeof(Number));  // little-endian on every machine that mlx runs on
  out.append(bytes.data(), bytes.size());
}

std::string header_json(const DatabaseInfo& info) {
  codec::JsonWriter json;
  json.begin_object().field("source", info.source).field("source_sha256", info.source_sha256);
  json.field("newest", info.newest).field("newest_ms", info.newest_ms);
  json.field("built_ms", info.built_ms);
  json.field("records", static_cast<std::int64_t>(info.records));
  json.field("withdrawn", static_cast<std::int64_t>(info.withdrawn));
  json.field("foreign", static_cast<std::int64_t>(info.foreign));
  json.field("packages", static_cast<std::int64_t>(info.packages));
  json.field("version", info.version).field("signer", info.signer);
  json.field("skipped", static_cast<std::int64_t>(info.skipped)).end_object();
  return std::move(json).take();
}

Result<DatabaseInfo> read_header(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document, codec::JsonDocument::parse(text));
  const codec::JsonValue root = document.root();
  DatabaseInfo info;
  const auto string = [&](std::string_view key, std::string& out) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const codec::JsonValue value, root.member(key));
    MLXGUARD_TRY_ASSIGN(const std::string_view found, value.as_string(key));
    out = found;
    return {};
  };
  const auto number = [&](std::string_view key, auto& out) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const codec::JsonValue value, root.member(key));
    MLXGUARD_TRY_ASSIGN(const std::int64_t found, value.as_int64(key));
    out = static_cast<std::remove_reference_t<decltype(out)>>(found);
    return {};
  };
  MLXGUARD_TRY(string("source", info.source));
  MLXGUARD_TRY(string("source_sha256", info.source_sha256));
  MLXGUARD_TRY(string("newest", info.newest));
  MLXGUARD_TRY(number("newest_ms", info.newest_ms));
  MLXGUARD_TRY(number("built_ms", info.built_ms));
  MLXGUARD_TRY(number("records", info.records));
  MLXGUARD_TRY(number("withdrawn", info.withdrawn));
  MLXGUARD_TRY(number("foreign", info.foreign));
  MLXGUARD_TRY(number("packages", info.packages));
  MLXGUARD_TRY(number("version", info.version));
  if (root.find("signer")) MLXGUARD_TRY(string("signer", info.signer));  // older files lack it
  MLXGUARD_TRY(number("skipped", info.skipped));
  return info;
}

struct Row {
  std::uint64_t key_at = 0, key_bytes = 0, data_at = 0, data_bytes = 0;
};

}  // namespace

void Builder::skip(std::string item, Error error) {
  ++info_.skipped;
  if (skipped_.size() < kSkippedKept) skipped_.push_back({std::move(item), std::move(error)});
}

bool Builder::is_past(const std::string& time) const {
  const auto ms = time.empty() ? std::nullopt : std::optional(codec::from_rfc3339(time));
  return ms && *ms && **ms <= now_.time_since_epoch().count();
}

/// The packages that a broken record is about get a record without versions in its place, which
/// match() cannot evaluate. One that is no JSON, or was withdrawn, names none.
void Builder::mark_broken(std::string_view item, std::string_view json) {
  const auto document = codec::JsonDocument::parse(json, {limits::kAdvisoryRecordBytesMax, 32});
  if (!document || !document->root().is(codec::JsonKind::kObject)) return;
  const auto list = document->root().find("affected");
  const auto withdrawn = document->root().find("withdrawn");
  if (!list || !list->is(codec::JsonKind::kArray)) return;
  if (withdrawn && withdrawn->is(codec::JsonKind::kString) &&
      is_past(std::string(*withdrawn->as_string()))) {
    return;
  }
  Record record;
  record.id = "broken record " + std::string(item.substr(0, 200));
  record.modified = "1970-01-01T00:00:00Z";
  (void)list->each_element([&](std::size_t, codec::JsonValue one) -> Result<void> {
    const auto package = one.find("package");
    auto key = package ? key_of_package(*package) : Result<std::string>(std::string());
    if (!key || key->empty()) return {};
    Affected affected;
    affected.key = *std::move(key);
    affected.name = affected.key.substr(affected.key.rfind('/') + 1);
    packages_[affected.key].push_back(to_json(record, affected));
    return {};
  });
}

void Builder::add(std::string_view item, std::string_view json) {
  auto parsed = parse_record(json);
  if (!parsed) {
    mark_broken(item, json);
    return skip(std::string(item), std::move(parsed).error());
  }
  auto modified = codec::from_rfc3339(parsed->modified);
  if (!modified) {
    mark_broken(item, json);
    return skip(std::string(item), std::move(modified).error());
  }
  const bool used = std::any_of(parsed->affected.begin(), parsed->affected.end(),
                                [](const Affected& affected) { return !affected.key.empty(); });
  // What is left out makes nothing younger, but a withdrawal is news as well.
  const bool dated = *modified <= now_.time_since_epoch().count();
  if (used && dated && *modified > info_.newest_ms) {
    info_.newest_ms = *modified;
    info_.newest = parsed->modified;
  }
  if (is_past(parsed->withdrawn)) {
    ++info_.withdrawn;
    return;
  }
  if (info_.records >= limits::kAdvisoryRecordsMax) {
    return skip(std::string(item),
                make_error(ErrorCode::kTooLarge, "more records than any database"));
  }
  for (const Affected& affected : parsed->affected) {
    if (affected.key.empty()) continue;
    packages_[affected.key].push_back(to_json(*parsed, affected));
    has_python_ = has_python_ || affected.key.starts_with("pypi/");
  }
  ++(used ? info_.records : info_.foreign);
}

Result<std::string> Builder::finish(DatabaseInfo named) && {
  if (info_.records == 0) {
    return make_error(ErrorCode::kAdvisoryDatabase, "there is no usable advisory in it")
        .about(named.source)
        .hinting("expected OSV records: the ecosystem's all.zip, or a folder of .json or .yaml");
  }
  info_.source = named.source;
  info_.source_sha256 = named.source_sha256;
  info_.built_ms = named.built_ms;
  info_.version = named.version;
  info_.signer = named.signer;
  info_.packages = packages_.size();
  const std::string header = header_json(info_);
  std::string rows, keys, data;
  for (auto& [key, records] : packages_) {
    put<std::uint64_t>(rows, keys.size());
    put<std::uint64_t>(rows, key.size());
    put<std::uint64_t>(rows, data.size());
    keys += key;
    const std::size_t begin = data.size();
    data += '[';
    for (std::size_t i = 0; i < records.size(); ++i) data += (i == 0 ? "" : ",") + records[i];
    data += ']';
    put<std::uint64_t>(rows, data.size() - begin);
    records = {};
  }
  std::string out(kMagic);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(header.size()));
  out += header;
  put<std::uint64_t>(out, packages_.size());
  put<std::uint64_t>(out, keys.size());
  out += rows;
  out += keys;
  out += data;
  const crypto::Sha256Digest digest = crypto::sha256(as_bytes(out));
  out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return out;
}

struct Database::Impl {
  ~Impl() {
    if (!text.empty()) ::munmap(const_cast<char*>(text.data()), text.size());
  }
  std::string_view text;
  DatabaseInfo info;
  std::string_view rows, keys, data;

  [[nodiscard]] std::size_t count() const { return rows.size() / kRowBytes; }
  [[nodiscard]] Row row(std::size_t index) const {
    Row out;
    std::memcpy(&out, rows.data() + index * kRowBytes, kRowBytes);
    return out;
  }
  [[nodiscard]] std::string_view key(std::size_t index) const {
    const Row found = row(index);
    return keys.substr(found.key_at, found.key_bytes);
  }
  [[nodiscard]] Result<void> divide();
  [[nodiscard]] std::optional<std::size_t> find(std::string_view wanted) const;
};

/// Takes the parts of the text, each inside its bounds.
Result<void> Database::Impl::divide() {
  std::string_view rest = text.substr(0, text.size() - kDigestBytes);
  const auto take = [&](std::uint64_t bytes) -> std::optional<std::string_view> {
    if (bytes > rest.size()) return std::nullopt;
    const std::string_view part = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    return part;
  };
  const auto number = [&](auto& out) {
    const auto part = take(sizeof(out));
    if (part) std::memcpy(&out, part->data(), sizeof(out));
    return part.has_value();
  };
  std::uint32_t header_bytes = 0;
  std::uint64_t packages = 0, keys_bytes = 0;
  if (take(kMagic.size()) != kMagic) return damaged("it does not begin as one");
  if (!number(header_bytes)) return damaged("no header");
  const auto header = take(header_bytes);
  if (!header) return damaged("no header");
  MLXGUARD_TRY_ASSIGN(info, read_header(*header));
  if (!number(packages) || !number(keys_bytes) || packages > rest.size() / kRowBytes) {
    return damaged("no rows");
  }
  rows = *take(packages * kRowBytes);
  const auto names = take(keys_bytes);
  if (!names) return damaged("no keys");
  keys = *names;
  data = rest;
  for (std::size_t i = 0; i < count(); ++i) {
    const Row one = row(i);
    if (one.key_at > keys.size() || one.key_bytes > keys.size() - one.key_at ||
        one.data_at > data.size() || one.data_bytes > data.size() - one.data_at ||
        (i > 0 && key(i - 1) >= key(i))) {
      return damaged("a row that leads out of it");
    }
  }
  return {};
}

std::optional<std::size_t> Database::Impl::find(std::string_view wanted) const {
  std::size_t low = 0, high = count();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (key(middle) < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == count() || key(low) != wanted) return std::nullopt;
  return low;
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::filesystem::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_open()) {
    if (errno == ENOENT) {
      return make_error(ErrorCode::kAdvisoryDatabase, "there is no advisory database here")
          .about(file.string())
          .hinting("mlxguard deps db update --from all.zip (the ecosystem's OSV export)");
    }
    return os_error("open", file.string()).about(file.string());
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file.string());
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || size < kMagic.size() + kDigestBytes ||
      size > limits::kAdvisoryDatabaseBytesMax) {
    return damaged("its size").about(file.string());
  }
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (memory == MAP_FAILED) return os_error("map", file.string());
  auto impl = std::make_unique<Impl>();
  impl->text = std::string_view(static_cast<const char*>(memory), size);
  const std::string_view body = impl->text.substr(0, size - kDigestBytes);
  const crypto::Sha256Digest digest = crypto::sha256(as_bytes(body));
  if (std::memcmp(digest.data(), impl->text.data() + body.size(), kDigestBytes) != 0) {
    return damaged("its digest differs").about(file.string());
  }
  MLXGUARD_TRY(impl->divide());
  impl->info.digest = codec::to_hex(digest);
  return Database(std::move(impl));
}

const DatabaseInfo& Database::info() const { return impl_->info; }

bool Database::knows(std::string_view key) const { return impl_->find(key).has_value(); }

Result<std::vector<Record>> Database::find(std::string_view key) const {
  const auto found = impl_->find(key);
  if (!found) return std::vector<Record>();
  const Row row = impl_->row(*found);
  const std::string_view text = impl_->data.substr(row.data_at, row.data_bytes);
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document,
                      codec::JsonDocument::parse(text, {text.size(), 32}));
  std::vector<Record> records;
  MLXGUARD_TRY(document.root().each_element([&](std::size_t, codec::JsonValue one) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(Record record, read_record(one));
    for (Affected& affected : record.affected) affected.key = key;
    records.push_back(std::move(record));
    return {};
  }));
  return records;
}

std::vector<std::string> Database::keys() const {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < impl_->count(); ++i) out.emplace_back(impl_->key(i));
  return out;
}

std::filesystem::path folder_in(const std::filesystem::path& state) { return state / "advisories"; }
std::filesystem::path database_file(const std::filesystem::path& state) {
  return folder_in(state) / "osv.db";
}
std::filesystem::path feed_file(const std::filesystem::path& state) {
  return folder_in(state) / "feed.db";
}

Result<void> check_age(const DatabaseInfo& info, std::chrono::milliseconds age_max, WallTime now) {
  const std::int64_t age_ms = now.time_since_epoch().count() - info.newest_ms;
  if (age_ms <= age_max.count()) return {};
  constexpr std::int64_t kDayMs = 86'400'000;
  return make_error(ErrorCode::kAdvisoryTooOld,
                    "the advisory database's last change is " + std::to_string(age_ms / kDayMs) +
                        " days old, " + std::to_string(age_max.count() / kDayMs) + " are allowed")
      .about(info.newest)
      .hinting("mlxguard deps db update, or allow it with --max-age");
}

}  // namespace mlxguard::advisories
