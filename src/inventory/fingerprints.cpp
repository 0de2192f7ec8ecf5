// SPDX-License-Identifier: Apache-2.0
#include "inventory/fingerprints.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

namespace mlxguard::inventory {
namespace {

using Look = FingerprintRow::Look;
using Version = FingerprintRow::Version;

constexpr std::size_t kSampleBytesMax = 96;
constexpr std::size_t kIdentifierBytesMax = 512;
constexpr std::size_t kVersionBytesMax = 32;
constexpr std::size_t kTextHitsMax = 64;

// clang-format off
constexpr FingerprintRow kRows[] = {
    // name             purl                                    tag  look              pattern                      next           version           library
    {"fmt",             "pkg:github/fmtlib/fmt",                "",  Look::kNamespace, "fmt",                       "v",           Version::kMajor,  "libfmt"},
    {"nlohmann-json",   "pkg:github/nlohmann/json",             "v", Look::kNamespace, "nlohmann",                  "json_abi_v",  Version::kDotted, ""},
    {"nlohmann-json",   "pkg:github/nlohmann/json",             "v", Look::kText,      "8nlohmann16json_abi_v",     "",            Version::kDotted, ""},
    {"nanobind",        "pkg:github/wjakob/nanobind",           "v", Look::kNamespace, "nanobind",                  "abi",         Version::kAbi,    ""},
    {"nanobind",        "pkg:github/wjakob/nanobind",           "v", Look::kNamespace, "nanobind",                  "detail",      Version::kNone,   ""},
    {"pybind11",        "pkg:github/pybind/pybind11",           "v", Look::kNamespace, "pybind11",                  "",            Version::kNone,   ""},
    {"pybind11",        "pkg:github/pybind/pybind11",           "v", Look::kText,      "__pybind11_internals_v",    "",            Version::kAbi,    ""},
    {"gguflib",         "pkg:github/antirez/gguf-tools",        "",  Look::kSymbol,    "gguf_open",                 "",            Version::kNone,   ""},
    {"gguflib",         "pkg:github/antirez/gguf-tools",        "",  Look::kSymbol,    "gguf_skip_key_values_section", "",         Version::kNone,   ""},
    {"gguflib",         "pkg:github/antirez/gguf-tools",        "",  Look::kSymbol,    "gguf_tensor_to_float",      "",            Version::kNone,   ""},
    {"ggml",            "pkg:github/ggml-org/ggml",             "v", Look::kSymbol,    "ggml_init",                 "",            Version::kNone,   "libggml"},
    {"pocketfft",       "pkg:github/mreineck/pocketfft",        "",  Look::kNamespace, "pocketfft",                 "",            Version::kNone,   ""},
    {"pocketfft",       "pkg:github/mreineck/pocketfft",        "",  Look::kText,      "9pocketfft6detail",         "",            Version::kNone,   ""},
    {"jaccl",           "pkg:github/ml-explore/mlx#mlx/distributed/jaccl", "", Look::kNamespace, "jaccl",           "",            Version::kNone,   "libjaccl"},
    {"openblas",        "pkg:github/openmathlib/openblas",      "v", Look::kText,      "OpenBLAS ",                 " ",           Version::kDotted, "libopenblas"},
    {"openblas",        "pkg:github/openmathlib/openblas",      "v", Look::kSymbol,    "openblas_get_config",       "",            Version::kNone,   "libopenblas"},
    {"openblas",        "pkg:github/openmathlib/openblas",      "v", Look::kSymbol,    "openblas_get_config64_",    "",            Version::kNone,   "libopenblas"},
    {"openblas",        "pkg:github/openmathlib/openblas",      "v", Look::kSymbol,    "scipy_openblas_get_config", "",            Version::kNone,   "libscipy_openblas"},
    {"openblas",        "pkg:github/openmathlib/openblas",      "v", Look::kSymbol,    "scipy_openblas_get_config64_", "",         Version::kNone,   "libscipy_openblas"},
    {"blas",            "pkg:github/reference-lapack/lapack#blas", "v", Look::kSymbol, "dgemm_",                    "",            Version::kNone,   "libblas"},
    {"lapack",          "pkg:github/reference-lapack/lapack",   "v", Look::kSymbol,    "dgesv_",                    "",            Version::kNone,   "liblapack"},
    {"mkl",             "pkg:generic/intel-mkl",                "",  Look::kSymbol,    "mkl_get_version_string",    "",            Version::kNone,   "libmkl_core"},
    {"onednn",          "pkg:github/oneapi-src/onednn",         "v", Look::kSymbol,    "dnnl_version",              "",            Version::kNone,   "libdnnl"},
    {"eigen",           "pkg:gitlab/libeigen/eigen",            "",  Look::kNamespace, "Eigen",                     "",            Version::kNone,   ""},
    {"openssl",         "pkg:github/openssl/openssl",           "openssl-", Look::kText, "OpenSSL ",                " ",           Version::kDotted, "libcrypto"},
    {"openssl",         "pkg:github/openssl/openssl",           "openssl-", Look::kSymbol, "OPENSSL_init_crypto",   "",            Version::kNone,   "libcrypto"},
    {"openssl",         "pkg:github/openssl/openssl",           "openssl-", Look::kSymbol, "SSL_CTX_new",           "",            Version::kNone,   "libssl"},
    {"boringssl",       "pkg:generic/boringssl",                "",  Look::kSymbol,    "BORINGSSL_self_test",       "",            Version::kNone,   ""},
    {"zlib",            "pkg:github/madler/zlib",               "v", Look::kText,      "deflate ",                  " Copyright",  Version::kDotted, "libz"},
    {"zlib",            "pkg:github/madler/zlib",               "v", Look::kText,      "inflate ",                  " Copyright",  Version::kDotted, "libz"},
    {"zstd",            "pkg:github/facebook/zstd",             "v", Look::kSymbol,    "ZSTD_versionString",        "",            Version::kNone,   "libzstd"},
    {"lz4",             "pkg:github/lz4/lz4",                   "v", Look::kSymbol,    "LZ4_versionString",         "",            Version::kNone,   "liblz4"},
    {"xz",              "pkg:github/tukaani-project/xz",        "v", Look::kSymbol,    "lzma_version_string",       "",            Version::kNone,   "liblzma"},
    {"bzip2",           "pkg:generic/bzip2",                    "",  Look::kText,      "bzip2/libbzip2, a program", "",            Version::kNone,   "libbz2"},
    {"bzip2",           "pkg:generic/bzip2",                    "",  Look::kSymbol,    "BZ2_bzlibVersion",          "",            Version::kNone,   "libbz2"},
    {"brotli",          "pkg:github/google/brotli",             "v", Look::kSymbol,    "BrotliDecoderVersion",      "",            Version::kNone,   "libbrotli"},
    {"snappy",          "pkg:github/google/snappy",             "",  Look::kNamespace, "snappy",                    "",            Version::kNone,   "libsnappy"},
    {"libpng",          "pkg:github/pnggroup/libpng",           "v", Look::kText,      "libpng version ",           "",            Version::kDotted, "libpng16"},
    {"libjpeg-turbo",   "pkg:github/libjpeg-turbo/libjpeg-turbo", "", Look::kText,     "libjpeg-turbo version ",    "",            Version::kDotted, "libjpeg"},
    {"libtiff",         "pkg:gitlab/libtiff/libtiff",           "v", Look::kText,      "LIBTIFF, Version ",         "",            Version::kDotted, "libtiff"},
    {"libwebp",         "pkg:github/webmproject/libwebp",       "v", Look::kSymbol,    "WebPGetDecoderVersion",     "",            Version::kNone,   "libwebp"},
    {"freetype",        "pkg:gitlab/freetype/freetype",         "",  Look::kSymbol,    "FT_Init_FreeType",          "",            Version::kNone,   "libfreetype"},
    {"ffmpeg",          "pkg:github/ffmpeg/ffmpeg",             "n", Look::kSymbol,    "avcodec_version",           "",            Version::kNone,   "libavcodec"},
    {"libcurl",         "pkg:github/curl/curl",                 "",  Look::kText,      "libcurl/",                  "",            Version::kDotted, "libcurl"},
    {"sqlite",          "pkg:github/sqlite/sqlite",             "",  Look::kSymbol,    "sqlite3_libversion",        "",            Version::kNone,   "libsqlite3"},
    {"expat",           "pkg:github/libexpat/libexpat",         "",  Look::kText,      "expat_",                    "",            Version::kDotted, "libexpat"},
    {"libxml2",         "pkg:gitlab/gnome/libxml2",             "v", Look::kSymbol,    "xmlParseDocument",          "",            Version::kNone,   "libxml2"},
    {"libffi",          "pkg:github/libffi/libffi",             "v", Look::kSymbol,    "ffi_prep_closure_loc",      "",            Version::kNone,   "libffi"},
    {"hdf5",            "pkg:github/hdfgroup/hdf5",             "",  Look::kText,      "HDF5 library version ",     "",            Version::kDotted, "libhdf5"},
    {"libuv",           "pkg:github/libuv/libuv",               "v", Look::kSymbol,    "uv_version_string",         "",            Version::kNone,   "libuv"},
    {"rapidjson",       "pkg:github/tencent/rapidjson",         "v", Look::kNamespace, "rapidjson",                 "",            Version::kNone,   ""},
    {"simdjson",        "pkg:github/simdjson/simdjson",         "v", Look::kNamespace, "simdjson",                  "",            Version::kNone,   "libsimdjson"},
    {"abseil",          "pkg:github/abseil/abseil-cpp",         "",  Look::kNamespace, "absl",                      "lts_",        Version::kMajor,  "libabsl"},
    {"protobuf",        "pkg:github/protocolbuffers/protobuf",  "v", Look::kNamespace, "google",                    "protobuf",    Version::kNone,   "libprotobuf"},
    {"protobuf",        "pkg:github/protocolbuffers/protobuf",  "v", Look::kText,      "N6google8protobuf",         "",            Version::kNone,   "libprotobuf"},
    {"grpc",            "pkg:github/grpc/grpc",                 "v", Look::kNamespace, "grpc_core",                 "",            Version::kNone,   "libgrpc"},
    {"re2",             "pkg:github/google/re2",                "",  Look::kNamespace, "re2",                       "",            Version::kNone,   "libre2"},
    {"boost",           "pkg:github/boostorg/boost",            "boost-", Look::kNamespace, "boost",                "",            Version::kNone,   "libboost"},
    {"highway",         "pkg:github/google/highway",            "",  Look::kNamespace, "hwy",                       "",            Version::kNone,   "libhwy"},
    {"sentencepiece",   "pkg:github/google/sentencepiece",      "v", Look::kNamespace, "sentencepiece",             "",            Version::kNone,   ""},
    {"onnx",            "pkg:github/onnx/onnx",                 "v", Look::kNamespace, "onnx",                      "",            Version::kNone,   "libonnx"},
    {"oneTBB",          "pkg:github/uxlfoundation/onetbb",      "v", Look::kSymbol,    "TBB_runtime_version",       "",            Version::kNone,   "libtbb"},
    {"libgfortran",     "pkg:generic/libgfortran",              "",  Look::kSymbol,    "_gfortran_set_args",        "",            Version::kNone,   "libgfortran"},
    {"libgomp",         "pkg:generic/libgomp",                  "",  Look::kSymbol,    "GOMP_parallel",             "",            Version::kNone,   "libgomp"},
    {"libstdc++",       "pkg:generic/libstdc%2B%2B",            "",  Look::kSymbol,    "_ZNSt8ios_base4InitC1Ev",   "",            Version::kNone,   "libstdc++"},
    {"rust-std",        "pkg:github/rust-lang/rust",            "",  Look::kText,      "/rustc/",                   "/library/",   Version::kCommit, ""},
    {"nccl",            "pkg:github/nvidia/nccl",               "v", Look::kSymbol,    "ncclGetVersion",            "",            Version::kNone,   "libnccl"},
    {"nccl",            "pkg:github/nvidia/nccl",               "v", Look::kOptional,  "nccl",                      "",            Version::kNone,   "libnccl"},
    {"mpi",             "pkg:generic/mpi",                      "",  Look::kOptional,  "MPI_Init",                  "",            Version::kNone,   "libmpi"},
    {"rdma-core",       "pkg:github/linux-rdma/rdma-core",      "v", Look::kOptional,  "ibv_open_device",           "",            Version::kNone,   "libibverbs"},
};
// clang-format on

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// "3v12": the identifier of a mangled name at `at`, which is moved behind it.
std::optional<std::string_view> identifier_at(std::string_view name, std::size_t& at) {
  std::size_t length = 0, digits = at;
  while (digits < name.size() && is_digit(name[digits]) && length < kIdentifierBytesMax) {
    length = length * 10 + static_cast<std::size_t>(name[digits++] - '0');
  }
  if (digits == at || length == 0 || length > name.size() - digits) return std::nullopt;
  at = digits + length;
  return name.substr(digits, length);
}

/// "3_11_3" or "1.2.13" from the start of `text`, with dots; a letter may end it ("1.1.1w").
std::string dotted(std::string_view text) {
  std::string version;
  bool has_separator = false;
  std::size_t i = 0;
  for (; i < text.size() && version.size() < kVersionBytesMax; ++i) {
    if (is_digit(text[i])) {
      version += text[i];
    } else if ((text[i] == '.' || text[i] == '_') && !version.empty() && version.back() != '.' &&
               i + 1 < text.size() && is_digit(text[i + 1])) {
      version += '.';
      has_separator = true;
    } else {
      break;
    }
  }
  if (!has_separator) return {};
  if (i < text.size() && text[i] >= 'a' && text[i] <= 'z' &&
      (i + 1 == text.size() || text[i + 1] == ' ')) {
    version += text[i];
  }
  return version;
}

std::string number(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end]) && end < kVersionBytesMax) ++end;
  return std::string(text.substr(0, end));
}

std::string commit(std::string_view text) {
  constexpr std::size_t kDigits = 40;
  const std::string_view digits = text.substr(0, kDigits);
  const bool all = digits.size() == kDigits &&
                   std::all_of(digits.begin(), digits.end(),
                               [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
  return all ? std::string(digits) : std::string();
}

std::string version_of(const FingerprintRow& row, std::string_view following) {
  switch (row.version) {
    case Version::kNone:
      return {};
    case Version::kMajor:
    case Version::kAbi:
      return number(following);
    case Version::kDotted:
      return dotted(following);
    case Version::kCommit:
      return commit(following);
  }
  return {};
}

class Finder {
 public:
  Finder() : found_(std::size(kRows)) {
    for (std::size_t i = 0; i < std::size(kRows); ++i) {
      const FingerprintRow& row = kRows[i];
      if (row.look == Look::kNamespace) by_namespace_.emplace(row.pattern, i);
      if (row.look == Look::kSymbol) by_symbol_.emplace(row.pattern, i);
    }
  }

  void symbol(const NativeSymbol& symbol) {
    if (symbol.state != NativeSymbol::State::kDefined) return;
    // The version that a symbol is exported with ("name@@GLIBC_2.2") is no part of its name.
    const std::string_view name = symbol.name.substr(0, symbol.name.find('@'));
    if (const auto row = by_symbol_.find(name); row != by_symbol_.end()) hit(row->second, "", name);
    if (!name.starts_with("_Z") && !name.starts_with("__Z")) return;
    for (std::size_t at = 2; at < name.size();) {
      if (!is_digit(name[at])) {
        ++at;
        continue;
      }
      std::size_t behind = at;
      const auto outer = identifier_at(name, behind);
      if (!outer) {
        while (at < name.size() && is_digit(name[at])) ++at;
        continue;
      }
      at = behind;
      space(*outer, name, behind);
    }
  }

  void area(Bytes bytes) {
    for (std::size_t i = 0; i < std::size(kRows); ++i) {
      const FingerprintRow& row = kRows[i];
      if (row.look == Look::kText) text(i, bytes);
      if (row.look == Look::kOptional) optional(i, bytes);
    }
  }

  std::vector<Fingerprint> take() {
    std::vector<Fingerprint> all;
    for (Fingerprint& one : found_) {
      if (one.row != nullptr) all.push_back(std::move(one));
    }
    return all;
  }

 private:
  void space(std::string_view outer, std::string_view name, std::size_t behind) {
    const auto [first, last] = by_namespace_.equal_range(outer);
    for (auto row = first; row != last; ++row) {
      const FingerprintRow& entry = kRows[row->second];
      if (entry.next.empty()) {
        hit(row->second, "", name);
        continue;
      }
      std::size_t at = behind;
      const auto inner = identifier_at(name, at);
      if (!inner || !inner->starts_with(entry.next)) continue;
      const std::string version = version_of(entry, inner->substr(entry.next.size()));
      if (entry.version != Version::kNone && version.empty()) continue;
      hit(row->second, version, name);
    }
  }

  void text(std::size_t index, Bytes bytes) {
    const FingerprintRow& row = kRows[index];
    const std::string_view all = as_text(bytes);
    std::size_t hits = 0;
    for (std::size_t at = 0; at < all.size() && hits < kTextHitsMax;) {
      const void* where =
          ::memmem(all.data() + at, all.size() - at, row.pattern.data(), row.pattern.size());
      if (where == nullptr) break;
      at = static_cast<std::size_t>(static_cast<const char*>(where) - all.data());
      const std::string_view rest = all.substr(at + row.pattern.size(), 128);
      const std::string version = version_of(row, rest);
      const bool told = row.version == Version::kNone || !version.empty();
      if (told && (row.next.empty() || rest.substr(version.size()).starts_with(row.next))) {
        hit(index, version, all.substr(at, 128));
        ++hits;
      }
      at += row.pattern.size();
    }
  }

  /// A whole string, so that "nccl" in a sentence is no library.
  void optional(std::size_t index, Bytes bytes) {
    const std::string needle = '\0' + std::string(kRows[index].pattern) + '\0';
    const void* where = ::memmem(bytes.data(), bytes.size(), needle.data(), needle.size());
    if (where != nullptr) hit(index, "", kRows[index].pattern);
  }

  void hit(std::size_t index, const std::string& version, std::string_view sample) {
    Fingerprint& one = found_[index];
    ++one.hits;
    // Two versions in one file: the longer one tells more; both is for the second row to say.
    if (one.row != nullptr && version.size() <= one.version.size()) return;
    one.row = &kRows[index];
    one.version = version;
    sample = sample.substr(0, std::min(sample.find('\0'), kSampleBytesMax));
    one.sample = sample;
  }

  std::vector<Fingerprint> found_;
  std::unordered_multimap<std::string_view, std::size_t> by_namespace_;
  std::unordered_multimap<std::string_view, std::size_t> by_symbol_;
};

}  // namespace

std::span<const FingerprintRow> fingerprint_rows() { return kRows; }

std::vector<Fingerprint> find_fingerprints(const NativeFile& file) {
  Finder finder;
  for (const NativeSymbol& symbol : file.symbols) finder.symbol(symbol);
  for (const Bytes area : file.string_areas) finder.area(area);
  return finder.take();
}

}  // namespace mlxguard::inventory
