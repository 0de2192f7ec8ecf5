// SPDX-License-Identifier: Apache-2.0
#include "inspect/zip_scan.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "format/zip.h"

namespace mlxguard::inspect {
namespace {

constexpr std::uint64_t kRatioMax = 1100;  // beyond what deflate can do

void unsafe(Findings& findings, std::string reason, std::string_view evidence,
            std::uint64_t offset) {
  findings.add(Rule::kArchiveUnsafe, std::move(reason), evidence, {.offset = offset, .line = {}});
}

/// What is wrong with the entries together: a name twice, bytes twice, bombs.
void look_at_all(const std::vector<format::ZipEntry>& entries, std::uint64_t file_bytes,
                 Findings& findings) {
  constexpr std::uint64_t kCountedMax = UINT64_MAX / limits::kZipEntriesMax / 2;
  std::set<std::string_view> names;
  std::uint64_t whole = 0, packed = 0;
  for (const format::ZipEntry& entry : entries) {
    if (!names.insert(entry.name).second) {
      unsafe(findings, "a name twice: readers take different ones", entry.name, entry.record_at);
    }
    whole += std::min(entry.bytes, kCountedMax);
    packed += std::min(entry.packed_bytes, kCountedMax);
  }
  if (packed > file_bytes) {
    unsafe(findings, "its entries share their bytes, as a bomb's do", {}, 0);
  }
  if (whole / kRatioMax > file_bytes) {
    unsafe(findings, "it unpacks to far more than it is", std::to_string(whole) + " bytes", 0);
  }
}

/// What an entry's record says of it.
void look_at_record(const format::ZipEntry& entry, Findings& findings) {
  const auto add = [&](const char* reason) {
    unsafe(findings, reason, entry.name, entry.record_at);
  };
  if (entry.name.empty() || entry.name.find('\0') != entry.name.npos ||
      format::leaves_folder(entry.name)) {
    add("an entry whose name leaves the folder");
  }
  if (S_ISLNK(entry.mode)) add("an entry that is a link");
  if ((entry.mode & (S_ISUID | S_ISGID)) != 0 && !S_ISLNK(entry.mode)) {
    add("an entry that runs with its owner's rights");
  }
}

/// The entry's content to the visitor, unpacked where it has to be.
void open_entry(const format::ZipArchive& archive, const format::ZipEntry& entry,
                std::uint64_t& unpacked_bytes, Findings& findings, const EntryVisitor& visit) {
  const auto gap = [&](const std::string& why) {
    findings.gap(evidence_of(entry.name) + ": " + why);
  };
  const auto local = archive.locate(entry);
  if (!local) {
    unsafe(findings, local.error().message, entry.name, entry.record_at);
    return gap(local.error().message);
  }
  if (!local->agrees) {
    unsafe(findings, "its own header and the directory disagree on it", entry.name,
           entry.header_at);
  }
  if (entry.encrypted()) return gap("it is encrypted");
  if (entry.name.ends_with('/') && entry.bytes == 0 && entry.packed_bytes == 0) return;
  const bool stored = entry.method == format::kZipStored;
  if (!stored && entry.method != format::kZipDeflated) {
    return gap("it is packed by a method that is not read");
  }
  if (!stored && (entry.bytes > limits::kZipEntryBytesMax ||
                  unpacked_bytes + entry.bytes > limits::kZipArchiveBytesMax)) {
    return gap("it unpacks to more than is read");
  }
  const auto content =
      format::ZipArchive::unpack(entry, local->packed,
                                 {.total_bytes_max = limits::kZipEntryBytesMax,
                                  .kept_bytes_max = stored ? 0 : limits::kZipEntryBytesMax});
  if (!content) {
    unsafe(findings, content.error().message, entry.name, entry.record_at);
    return gap(content.error().message);
  }
  if (content->crc32 != entry.crc) {  // not every reader compares it
    unsafe(findings, "its checksum is wrong", entry.name, entry.record_at);
  }
  if (stored) return visit(entry.name, local->packed);
  unpacked_bytes += entry.bytes;
  visit(entry.name, content->kept);
}

/// A number in octal, or in base 256 where its first bit is set.
std::uint64_t tar_number(Bytes field) {
  std::uint64_t value = 0;
  if ((field[0] & 0x80) != 0) {
    for (std::size_t i = 1; i < field.size(); ++i) value = value << 8 | field[i];
    return value;
  }
  for (const std::uint8_t c : field) {
    if (c >= '0' && c <= '7') value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::string tar_text(Bytes field) {
  const std::string_view text = as_text(field);
  return std::string(text.substr(0, text.find('\0')));
}

}  // namespace

void scan_zip(Bytes file, Findings& findings, const EntryVisitor& visit) {
  std::uint64_t failed_at = 0;
  const auto archive = format::ZipArchive::open(file, failed_at);
  if (!archive) {
    if (archive.error().code == ErrorCode::kArchive) {
      unsafe(findings, archive.error().message, {}, failed_at);
    }
    return findings.gap(archive.error().message);
  }
  look_at_all(archive->entries(), file.size(), findings);
  std::uint64_t unpacked_bytes = 0;
  for (const format::ZipEntry& entry : archive->entries()) {
    look_at_record(entry, findings);
    open_entry(*archive, entry, unpacked_bytes, findings, visit);
  }
}

void scan_tar(Bytes file, Findings& findings, const EntryVisitor& visit) {
  constexpr std::size_t kBlock = 512;
  std::string long_name;
  std::size_t entries = 0;
  for (std::size_t at = 0; file.size() - at >= kBlock;) {
    const Bytes header = file.subspan(at, kBlock);
    const auto zero = [](std::uint8_t c) { return c == 0; };
    if (std::all_of(header.begin(), header.end(), zero)) {
      const Bytes behind = file.subspan(at);
      if (!std::all_of(behind.begin(), behind.end(), zero)) {
        unsafe(findings, "content behind its end, which some readers go on to", {}, at);
        findings.gap("content behind the end of an archive");
      }
      return;
    }
    if (++entries > limits::kZipEntriesMax)
      return findings.gap("an archive of more entries than are read");
    const std::uint64_t size = tar_number(header.subspan(124, 12));
    const char type = static_cast<char>(header[156]);
    std::string name = tar_text(header.subspan(0, 100));
    const std::string prefix = tar_text(header.subspan(345, 155));
    if (as_text(header.subspan(257, 5)) != "ustar") {
      unsafe(findings, "an entry without a header", name, at);
      return findings.gap("an archive that is malformed");
    }
    if (!prefix.empty() && header[263] == '0') name = prefix + "/" + name;
    if (!long_name.empty()) name = std::exchange(long_name, {});
    const std::size_t data = at + kBlock;
    if (size > file.size() - data) {
      unsafe(findings, "an entry that is cut off", name, at);
      return findings.gap(evidence_of(name) + ": it is cut off");
    }
    const Bytes content = file.subspan(data, static_cast<std::size_t>(size));
    if (type == 'L' || type == 'x') {
      std::string text = tar_text(content.first(std::min<std::size_t>(content.size(), 1 << 16)));
      if (type == 'x') {
        const std::size_t path = text.find(" path=");
        text = path == text.npos ? "" : text.substr(path + 6, text.find('\n', path) - path - 6);
      }
      long_name = text;
    } else {
      if (format::leaves_folder(name))
        unsafe(findings, "an entry whose name leaves the folder", name, at);
      if (type == '1' || type == '2') unsafe(findings, "an entry that is a link", name, at);
      if (type == '3' || type == '4' || type == '6')
        unsafe(findings, "an entry that is a device", name, at);
      // A type that nobody knows is an ordinary file to most readers.
      if (std::string_view("123456gK").find(type) == std::string_view::npos) visit(name, content);
      if (type == 'S') findings.gap(evidence_of(name) + ": a sparse entry is not put together");
    }
    at = data + (static_cast<std::size_t>(size) + kBlock - 1) / kBlock * kBlock;
    if (at > file.size()) return;
  }
}

void scan_deflated(Bytes file, format::Wrapper wrapper, Findings& findings,
                   const EntryVisitor& visit) {
  std::vector<std::uint8_t> content;
  // gzip readers take several streams one after another for one: each is read.
  while (!file.empty()) {
    const std::uint64_t room = limits::kZipEntryBytesMax - content.size();
    auto stream = format::inflate(file, wrapper, {.total_bytes_max = room, .kept_bytes_max = room});
    if (!stream) {
      findings.gap(content.empty() ? stream.error().message
                                   : "behind the first stream: " + stream.error().message);
      break;
    }
    content.insert(content.end(), stream->kept.begin(), stream->kept.end());
    file = file.subspan(static_cast<std::size_t>(stream->packed_bytes));
    if (wrapper != format::Wrapper::kGzip && !file.empty()) {
      findings.gap("bytes behind its packed data");
      break;
    }
    // Padding of zeros is skipped by those readers too.
    while (!file.empty() && file.front() == 0) file = file.subspan(1);
  }
  if (!content.empty()) visit("(unpacked)", content);
}

}  // namespace mlxguard::inspect
