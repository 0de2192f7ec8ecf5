// SPDX-License-Identifier: Apache-2.0
#include "engine/verified_reader.h"

#include <cstring>
#include <stdexcept>

#include "base/checked.h"

namespace mlxguard::engine {

Result<void> VerifiedReader::failure() const {
  if (!failed_.load()) return {};
  return make_error(ErrorCode::kEngineReader, "a read of the verified bytes failed")
      .about(file_->name());
}

void VerifiedReader::fail(const char* what) {
  failed_.store(true);
  throw std::runtime_error(what);  // mlx's interface has no other way to say it
}

void VerifiedReader::seek(std::int64_t offset, std::ios_base::seekdir way) {
  const std::int64_t base = way == std::ios_base::beg ? 0
                            : way == std::ios_base::end
                                ? static_cast<std::int64_t>(file_->bytes().size())
                                : static_cast<std::int64_t>(position_);
  const auto target = checked_add(base, offset);
  if (!target || *target < 0) fail("seek outside of the verified file");
  position_ = static_cast<std::size_t>(*target);
}

void VerifiedReader::read(char* data, std::size_t count) {
  read(data, count, position_);
  position_ += count;
}

void VerifiedReader::read(char* data, std::size_t count, std::size_t offset) {
  const Bytes bytes = file_->bytes();
  if (offset > bytes.size() || count > bytes.size() - offset) {
    fail("read beyond the end of the verified file");
  }
  if (count != 0) std::memcpy(data, bytes.data() + offset, count);
}

}  // namespace mlxguard::engine
