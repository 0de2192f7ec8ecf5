// SPDX-License-Identifier: Apache-2.0
#include "format/inflate.h"

#include <zlib.h>

#include <algorithm>

namespace mlxguard::format {
namespace {

constexpr std::size_t kFedBytesMax = 1u << 30;  // zlib counts in 32 bits
constexpr std::size_t kStepBytes = 1u << 18;

/// Ends the stream on every way out.
class Stream {
 public:
  explicit Stream(Wrapper wrapper)
      : ready_(::inflateInit2(&stream_, static_cast<int>(wrapper)) == Z_OK) {}
  ~Stream() {
    if (ready_) ::inflateEnd(&stream_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] bool ready() const { return ready_; }
  z_stream* operator->() { return &stream_; }
  int step() { return ::inflate(&stream_, Z_NO_FLUSH); }

 private:
  z_stream stream_{};
  bool ready_;
};

}  // namespace

std::uint32_t crc32_of(Bytes bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, bytes.data(), bytes.size()));
}

Result<Inflated> inflate(Bytes packed, Wrapper wrapper, InflateBounds bounds) {
  Stream stream(wrapper);
  if (!stream.ready()) return make_error(ErrorCode::kInternal, "zlib could not be started");
  Inflated out;
  std::vector<std::uint8_t> step(kStepBytes);
  std::size_t fed = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    if (stream->avail_in == 0 && fed < packed.size()) {
      const std::size_t count = std::min(packed.size() - fed, kFedBytesMax);
      stream->next_in = const_cast<std::uint8_t*>(packed.data() + fed);  // zlib only reads
      stream->avail_in = static_cast<uInt>(count);
      fed += count;
    }
    stream->next_out = step.data();
    stream->avail_out = static_cast<uInt>(step.size());
    status = stream.step();
    const Bytes made = Bytes(step).first(step.size() - stream->avail_out);
    out.total_bytes += made.size();
    if (out.total_bytes > bounds.total_bytes_max) {
      return make_error(ErrorCode::kTooLarge, "it unpacks to more than is read");
    }
    out.crc32 = static_cast<std::uint32_t>(::crc32_z(out.crc32, made.data(), made.size()));
    const std::uint64_t room = bounds.kept_bytes_max - out.kept.size();
    const Bytes kept =
        made.first(static_cast<std::size_t>(std::min<std::uint64_t>(made.size(), room)));
    out.kept.insert(out.kept.end(), kept.begin(), kept.end());
  }
  if (status != Z_STREAM_END) {
    return make_error(ErrorCode::kArchive, "packed data that is damaged or cut off");
  }
  out.packed_bytes = fed - stream->avail_in;
  return out;
}

}  // namespace mlxguard::format
