// SPDX-License-Identifier: Apache-2.0
#include "trust/formats.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "base/ascii.h"
#include "codec/text.h"

namespace mlxguard::trust {
namespace {

using namespace std::string_view_literals;

/// What a file's name promises, by its last suffix in lower case.
struct Suffix {
  std::string_view suffix;
  std::string_view format;
};

// clang-format off: a table
constexpr Suffix kSuffixes[] = {
    {".safetensors", "safetensors"}, {".gguf", "gguf"},        {".ggml", "gguf"},
    {".npz", "npz"},                 {".npy", "npy"},          {".mlxfn", "mlxfn"},
    {".pkl", "pickle"},              {".pickle", "pickle"},    {".joblib", "pickle"},
    {".dill", "pickle"},             {".bin", "pickle"},       {".pt", "pickle"},
    {".pth", "pickle"},              {".ckpt", "pickle"},      {".h5", "hdf5"},
    {".hdf5", "hdf5"},               {".keras", "hdf5"},       {".onnx", "onnx"},
    {".tflite", "tflite"},           {".pb", "tensorflow"},    {".msgpack", "msgpack"},
    {".py", "python"},               {".pyc", "python"},       {".pyi", "python"},
    {".ipynb", "python"},            {".pyd", "native"},       {".so", "native"},
    {".dylib", "native"},            {".dll", "native"},       {".exe", "native"},
    {".sh", "script"},               {".bat", "script"},       {".ps1", "script"},
    {".js", "script"},               {".zip", "archive"},      {".tar", "archive"},
    {".gz", "archive"},              {".tgz", "archive"},      {".bz2", "archive"},
    {".xz", "archive"},              {".zst", "archive"},      {".7z", "archive"},
    {".rar", "archive"},             {".whl", "archive"},      {".jar", "archive"},
    {".json", "json"},               {".jsonl", "json"},       {".md", "text"},
    {".txt", "text"},                {".jinja", "text"},       {".yaml", "text"},
    {".yml", "text"},                {".toml", "text"},        {".csv", "text"},
    {".tsv", "text"},                {".cff", "text"},         {".model", "tokenizer"},
    {".tiktoken", "tokenizer"},      {".png", "image"},        {".jpg", "image"},
    {".jpeg", "image"},              {".gif", "image"},        {".webp", "image"},
};
// clang-format on

/// What its first bytes say.
struct Magic {
  std::size_t offset;
  std::string_view bytes;
  std::string_view format;
};

constexpr Magic kMagics[] = {
    {0, "GGUF"sv, "gguf"},
    {0, "lmgg"sv, "gguf"},
    {0, "\x93NUMPY"sv, "npy"},
    {0, "\x89HDF\r\n\x1a\n"sv, "hdf5"},
    {4, "TFL3"sv, "tflite"},
    {0, "PK\x03\x04"sv, "zip"},
    {0, "PK\x05\x06"sv, "zip"},
    {0,
     "\x7f"
     "ELF"sv,
     "native"},
    {0, "MZ"sv, "native"},
    {0, "\xfe\xed\xfa\xce"sv, "native"},
    {0, "\xfe\xed\xfa\xcf"sv, "native"},
    {0, "\xce\xfa\xed\xfe"sv, "native"},
    {0, "\xcf\xfa\xed\xfe"sv, "native"},
    {0, "\xca\xfe\xba\xbe"sv, "native"},
    {0, "\x1f\x8b"sv, "archive"},
    {0, "BZh"sv, "archive"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "archive"},
    {0, "\x28\xb5\x2f\xfd"sv, "archive"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "archive"},
    {0, "Rar!\x1a\x07"sv, "archive"},
    {257, "ustar"sv, "archive"},
    {0, "#!"sv, "script"},
    {0, "\x89PNG\r\n\x1a\n"sv, "image"},
    {0, "\xff\xd8\xff"sv, "image"},
    {0, "GIF8"sv, "image"},
};

constexpr std::string_view kFormats[] = {
    "safetensors", "gguf",   "npz",        "npy",       "mlxfn",  "pickle", "hdf5",
    "onnx",        "tflite", "tensorflow", "msgpack",   "python", "native", "archive",
    "script",      "json",   "text",       "tokenizer", "image",  "other"};
constexpr std::string_view kCompanions[] = {"json", "text", "tokenizer", "image"};

/// 8 bytes of length, then the header's brace.
bool begins_like_safetensors(Bytes head) {
  if (head.size() < 9 || head[8] != '{') return false;
  return head[5] == 0 && head[6] == 0 && head[7] == 0;
}

/// Protocols 2 to 5 begin with their number; older ones with an opcode that opens a container, and
/// have no byte that would tell them from a text. Their names do.
bool begins_like_pickle(Bytes head) {
  return head.size() >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5;
}

bool is_text(Bytes head) {
  std::string_view text = as_text(head);
  if (head.size() == kFormatHeadBytes) {
    // The cut may go through a character.
    for (int i = 0; i < 3 && !text.empty() && !codec::is_utf8(text); ++i) text.remove_suffix(1);
  }
  return codec::is_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t' && byte != '\f';
         });
}

std::string_view by_name(std::string_view name) {
  const std::string lower = ascii_lower(name.substr(name.rfind('/') + 1));
  for (const Suffix& row : kSuffixes) {
    if (lower.size() > row.suffix.size() && lower.ends_with(row.suffix)) return row.format;
  }
  return {};
}

std::string_view by_content(Bytes head) {
  const std::string_view text = as_text(head);
  for (const Magic& row : kMagics) {
    if (text.size() >= row.offset && text.substr(row.offset).starts_with(row.bytes)) {
      return row.format;
    }
  }
  if (begins_like_safetensors(head)) return "safetensors";
  if (begins_like_pickle(head)) return "pickle";
  return is_text(head) ? "text" : "";
}

/// A zip file is the npz or the pickle (torch) that its name says, else an archive.
std::string_view meaning_of_zip(std::string_view named) {
  if (named == "npz" || named == "pickle") return named;
  return named == "hdf5" ? "hdf5" : "archive";  // .keras is a zip
}

}  // namespace

std::vector<std::string> formats_of(std::string_view name, Bytes head) {
  const std::string_view named = by_name(name);
  std::string_view found = by_content(head);
  if (found == "zip") found = meaning_of_zip(named);
  std::set<std::string> formats;
  // Text says nothing against the name: Python, JSON and scripts are text, and a bare `README` is.
  if (found == "text") {
    formats.emplace(named.empty() ? found : named);
  } else if (found.empty()) {
    // Formats without a magic number are believed by name; a binary `.json` or `.txt` is something
    // else.
    const bool told = !named.empty() && named != "json" && named != "text" && named != "image";
    formats.emplace(told ? named : "other");
  } else {
    formats.emplace(found);
    if (!named.empty()) formats.emplace(named);
  }
  return {formats.begin(), formats.end()};
}

bool is_format_name(std::string_view format) {
  return std::find(std::begin(kFormats), std::end(kFormats), format) != std::end(kFormats);
}

bool is_companion(std::string_view format) {
  return std::find(std::begin(kCompanions), std::end(kCompanions), format) != std::end(kCompanions);
}

std::string format_names() {
  std::string all;
  for (const std::string_view format : kFormats) {
    all += (all.empty() ? "" : ", ") + std::string(format);
  }
  return all;
}

}  // namespace mlxguard::trust
