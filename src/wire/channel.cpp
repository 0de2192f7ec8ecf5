// SPDX-License-Identifier: Apache-2.0
#include "wire/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::wire {
namespace {

constexpr std::uint32_t kMagic = 0x316D'676D;  // "mgm1"
constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

struct Header {
  std::uint32_t magic = kMagic;
  std::uint16_t type = 0;
  std::uint16_t in_memory = 0;  ///< 1: the fields are in the first descriptor
  std::uint64_t size = 0;
};
static_assert(sizeof(Header) == 16);

/// At an offset, which the locked processes may do: no pipe or socket of theirs has one.
Result<void> write_at(const UniqueFd& memory, std::size_t offset, Bytes bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pwrite(memory.get(), bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return os_error("fill a message's memory");
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Result<UniqueFd> sealed_memory(Bytes fields, Bytes body) {
  UniqueFd memory(::memfd_create("mlxguard-message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.is_open()) return os_error("memfd_create");
  MLXGUARD_TRY(write_at(memory, 0, fields));
  MLXGUARD_TRY(write_at(memory, fields.size(), body));
  if (::fcntl(memory.get(), F_ADD_SEALS, kAllSeals) != 0) return os_error("seal");
  return memory;
}

Error peer_gone() {
  return make_error(ErrorCode::kWorkerUnavailable, "the process at the other end is gone");
}

Error malformed(const char* what) { return make_error(ErrorCode::kWorkerProtocol, what); }

/// Takes ownership of every descriptor in the control data first, so that none leaks on an error.
std::vector<UniqueFd> take_descriptors(msghdr& message) {
  std::vector<UniqueFd> descriptors;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

}  // namespace

Result<Payload> Payload::map(const UniqueFd& memory, std::size_t size) {
  struct stat status {};
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kAllSeals) != kAllSeals || ::fstat(memory.get(), &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != size) {
    return make_error(ErrorCode::kWorkerSeals,
                      "expected a sealed memory descriptor of " + std::to_string(size) + " bytes");
  }
  Payload payload;
  if (size == 0) return payload;
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return os_error("mmap");
  payload.mapped_ = static_cast<const std::uint8_t*>(mapped);
  payload.mapped_size_ = size;
  return payload;
}

Payload::Payload(Payload&& other) noexcept
    : inline_(std::move(other.inline_)),
      mapped_(std::exchange(other.mapped_, nullptr)),
      mapped_size_(std::exchange(other.mapped_size_, 0)) {}

Payload& Payload::operator=(Payload&& other) noexcept {
  std::swap(inline_, other.inline_);
  std::swap(mapped_, other.mapped_);
  std::swap(mapped_size_, other.mapped_size_);
  return *this;
}

void Payload::wipe() noexcept {
  if (!inline_.empty()) ::explicit_bzero(inline_.data(), inline_.size());
}

Payload::~Payload() {
  if (mapped_ != nullptr) ::munmap(const_cast<std::uint8_t*>(mapped_), mapped_size_);
}

Result<Packet> pack(MessageNumber type, std::vector<std::uint8_t> fields,
                    std::span<const int> descriptors, Bytes body) {
  const std::size_t size = fields.size() + body.size();
  if (size > limits::kIpcPayloadBytesMax) {
    return make_error(ErrorCode::kTooLarge, "a message of " + std::to_string(size) +
                                                " bytes, more than may pass between processes");
  }
  MLXGUARD_CHECK(descriptors.size() <= limits::kIpcDescriptorsMax);
  Packet packet;
  packet.type = type;
  packet.descriptors.assign(descriptors.begin(), descriptors.end());
  if (size > limits::kIpcInlineBytesMax) {
    MLXGUARD_TRY_ASSIGN(packet.memory, sealed_memory(fields, body));
    packet.memory_size = size;
  } else {
    packet.bytes = std::move(fields);
    packet.bytes.insert(packet.bytes.end(), body.begin(), body.end());
  }
  return packet;
}

Result<std::pair<UniqueFd, UniqueFd>> Channel::socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return os_error("socketpair");
  }
  return std::pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<std::pair<Channel, Channel>> Channel::pair(ReceiveBounds first, ReceiveBounds second) {
  MLXGUARD_TRY_ASSIGN(auto ends, socket_pair());
  return std::pair{Channel(std::move(ends.first), first), Channel(std::move(ends.second), second)};
}

Result<SendStatus> Channel::try_send(const Packet& packet) {
  Header header;
  header.type = packet.type;
  header.in_memory = packet.memory.is_open() ? 1 : 0;
  header.size = packet.memory.is_open() ? packet.memory_size : packet.bytes.size();

  std::array<iovec, 2> parts{
      iovec{&header, sizeof(header)},
      iovec{const_cast<std::uint8_t*>(packet.bytes.data()), packet.bytes.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = packet.bytes.empty() ? 1 : 2;

  std::vector<int> carried;
  if (packet.memory.is_open()) carried.push_back(packet.memory.get());
  carried.insert(carried.end(), packet.descriptors.begin(), packet.descriptors.end());
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * (limits::kIpcDescriptorsMax + 1))>
      control{};
  if (!carried.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * carried.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * carried.size());
    std::memcpy(CMSG_DATA(rights), carried.data(), sizeof(int) * carried.size());
  }
  for (;;) {
    if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
      return SendStatus::kSent;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return SendStatus::kWouldBlock;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return peer_gone();
    return os_error("sendmsg");
  }
}

Result<void> Channel::send(const Packet& packet) {
  for (;;) {
    MLXGUARD_TRY_ASSIGN(const SendStatus status, try_send(packet));
    if (status == SendStatus::kSent) return {};
    pollfd wait{socket_.get(), POLLOUT, 0};
    if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return os_error("poll");
  }
}

Result<std::optional<Received>> Channel::receive_packet(Wait wait) {
  Header header;
  if (buffer_ == nullptr) {
    buffer_ = std::make_unique_for_overwrite<std::uint8_t[]>(limits::kIpcInlineBytesMax);
  }
  std::array<iovec, 2> parts{iovec{&header, sizeof(header)},
                             iovec{buffer_.get(), limits::kIpcInlineBytesMax}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * (limits::kIpcDescriptorsMax + 1))>
      control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const int flags = MSG_CMSG_CLOEXEC | (wait == Wait::kNo ? MSG_DONTWAIT : 0);
  ssize_t count = 0;
  // A peer that ended with messages unread resets the connection, which the kernel says once and
  // before what the peer had sent.
  bool reset = false;
  do {
    count = ::recvmsg(socket_.get(), &message, flags);
  } while (count < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  if (count < 0) {
    if (errno == EAGAIN) return std::optional<Received>{};
    if (errno == ECONNRESET || errno == ENOTCONN) return peer_gone();
    return os_error("recvmsg");
  }
  std::vector<UniqueFd> descriptors = take_descriptors(message);
  if (count == 0) return peer_gone();
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return malformed("a packet too large");
  if (static_cast<std::size_t>(count) < sizeof(header) || header.magic != kMagic) {
    return malformed("a packet without a header");
  }
  if (header.size > std::min<std::uint64_t>(bounds_.message_bytes_max,
                                            limits::kIpcPayloadBytesMax)) {
    return malformed("a message beyond the bound of its receiver");
  }
  Received received;
  received.type = header.type;
  if (header.in_memory == 1) {
    if (descriptors.empty()) {
      return malformed("a packet that announces memory it does not carry");
    }
    MLXGUARD_TRY_ASSIGN(received.payload, Payload::map(descriptors.front(), header.size));
    descriptors.erase(descriptors.begin());
  } else {
    if (header.in_memory != 0 || header.size != static_cast<std::size_t>(count) - sizeof(header)) {
      return malformed("a packet of another length than it announces");
    }
    received.payload = Payload({buffer_.get(), buffer_.get() + header.size});
  }
  // The control buffer's padding has room for one more than it was made for.
  if (descriptors.size() > std::min(bounds_.descriptors_max, limits::kIpcDescriptorsMax)) {
    return malformed("more descriptors than its receiver accepts");
  }
  received.descriptors = std::move(descriptors);
  return std::optional<Received>(std::move(received));
}

void Channel::forget_received() noexcept {
  if (buffer_ != nullptr) ::explicit_bzero(buffer_.get(), limits::kIpcInlineBytesMax);
}

Result<std::optional<Received>> Channel::try_receive() { return receive_packet(Wait::kNo); }

Result<Received> Channel::receive(std::optional<std::chrono::steady_clock::time_point> deadline) {
  using std::chrono::milliseconds;
  for (;;) {
    if (deadline) {
      const auto left = *deadline - std::chrono::steady_clock::now();
      const auto left_ms = std::max<std::int64_t>(0, std::chrono::ceil<milliseconds>(left).count());
      pollfd wait{socket_.get(), POLLIN, 0};
      const int ready =
          ::poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left_ms, INT_MAX)));
      if (ready < 0 && errno != EINTR) return os_error("poll");
      if (ready < 0) continue;
      if (ready == 0) return make_error(ErrorCode::kDeadline, "no message within the time allowed");
    }
    MLXGUARD_TRY_ASSIGN(std::optional<Received> received,
                        receive_packet(deadline ? Wait::kNo : Wait::kYes));
    if (received) return std::move(*received);
  }
}

}  // namespace mlxguard::wire
