// SPDX-License-Identifier: Apache-2.0
// Model: the proof and the sealed bytes behind the public type.
#include "mlxguard/model.h"

#include <algorithm>
#include <array>

#include "api/convert.h"
#include "api/model_impl.h"
#include "format/gguf.h"
#include "format/mlxfn.h"
#include "format/npy.h"
#include "format/npz.h"
#include "format/safetensors.h"

namespace mlxguard {
namespace v1 {
namespace {

Bytes as_format_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

/// A strict reader's verdict alone.
template <auto parse>
mlxguard::Result<void> verdict(Bytes file) {
  MLXGUARD_TRY(parse(file));
  return {};
}

/// The kinds of files that mlx reads, by mlx's name of the format, which is the file's extension.
struct Kind {
  std::string_view format;
  mlxguard::Result<void> (*check)(Bytes file);
};
constexpr std::array kKinds{
    Kind{"safetensors", verdict<format::parse_safetensors>},
    Kind{"npy",
         verdict<static_cast<mlxguard::Result<format::NpyArray> (*)(Bytes)>(format::parse_npy)>},
    Kind{"npz", verdict<format::parse_npz>},
    Kind{"gguf", verdict<format::parse_gguf>},
    Kind{"mlxfn", format::check_mlxfn},
};

/// By the format that is asked for, else by the file's extension.
const Kind* find_kind(std::string_view file, std::string_view format) {
  if (format.empty()) {
    const std::size_t dot = file.rfind('.');
    if (dot == file.npos) return nullptr;
    format = file.substr(dot + 1);
  }
  const auto* const kind = std::find_if(kKinds.begin(), kKinds.end(),
                                        [&](const Kind& row) { return row.format == format; });
  return kind == kKinds.end() ? nullptr : kind;
}

}  // namespace

Model::Model(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
const std::string& Model::name() const noexcept { return impl_->verified.name(); }
const std::string& Model::root_digest() const noexcept { return impl_->verified.root_digest(); }
const std::vector<Error>& Model::warnings() const noexcept { return impl_->warnings; }
const std::string& Model::signer() const noexcept { return impl_->verified.signer(); }
std::span<const Model::File> Model::files() const noexcept { return impl_->files; }

Result<std::span<const std::byte>> Model::bytes(std::string_view file) const {
  auto mapped = impl_->map(file);
  if (!mapped) return api::convert(mapped.error());
  return *mapped;
}

Result<std::vector<Tensor>> Model::tensors(std::string_view file) const {
  const auto mapped = impl_->map(file);
  if (!mapped) return api::convert(mapped.error());
  const auto index = format::parse_safetensors(as_format_bytes(*mapped));
  if (!index) return api::convert(index.error());
  std::vector<Tensor> tensors;
  for (const format::TensorEntry& entry : index->entries()) {
    tensors.push_back({entry.name, std::string(format::name_of(entry.type)), entry.shape,
                       mapped->subspan(entry.begin_bytes, entry.end_bytes - entry.begin_bytes)});
  }
  return tensors;
}

Result<std::monostate> Model::check_structure(std::string_view file,
                                              std::string_view format) const {
  const Kind* const kind = find_kind(file, format);
  if (kind == nullptr) {
    if (format.empty()) return std::monostate{};
    return api::convert(make_error(ErrorCode::kFormatUnknown,
                                   "expected safetensors, npy, npz, gguf or mlxfn as a format"));
  }
  const auto mapped = impl_->map(file);
  if (!mapped) return api::convert(mapped.error());
  auto checked = kind->check(as_format_bytes(*mapped));
  if (checked) return std::monostate{};
  auto error = std::move(checked).error();
  if (error.subject.empty()) error.subject = file;  // else it is the tensor's or the entry's name
  return api::convert(error);
}

}  // namespace v1

}  // namespace mlxguard
