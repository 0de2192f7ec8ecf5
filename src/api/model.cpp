// SPDX-License-Identifier: Apache-2.0
// Model: the proof and the sealed bytes behind the public type.
#include "mlxguard/model.h"

#include "api/convert.h"
#include "api/model_impl.h"
#include "format/safetensors.h"

namespace mlxguard {
namespace v1 {

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
  const auto index = format::parse_safetensors(
      {reinterpret_cast<const std::uint8_t*>(mapped->data()), mapped->size()});
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
  if (format == "safetensors" || (format.empty() && file.ends_with(".safetensors"))) {
    const auto checked = tensors(file);
    if (!checked) return checked.error();
  }
  return std::monostate{};
}

}  // namespace v1

}  // namespace mlxguard
