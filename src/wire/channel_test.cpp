// SPDX-License-Identifier: Apache-2.0
#include "wire/channel.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <random>

#include "base/limits.h"

using namespace mlxguard;
using namespace mlxguard::wire;

namespace {

/// A message with every kind of field that the encoding knows.
struct Item {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> data;
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(shape), archive(data);
  }
};
struct Order {
  static constexpr MessageNumber kType = 7;
  std::uint64_t id = 0;
  std::int64_t time = 0;
  bool urgent = false;
  std::vector<Item> items;
  std::vector<std::string> texts;
  template <class Archive>
  void visit(Archive& archive) {
    archive(id), archive(time), archive(urgent), archive(items), archive(texts);
  }
};
struct Tick {
  static constexpr MessageNumber kType = 8;
  std::uint64_t count = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(count);
  }
};

constexpr ReceiveBounds kAny{limits::kIpcPayloadBytesMax, limits::kIpcDescriptorsMax};

std::pair<Channel, Channel> pair_of(ReceiveBounds second = kAny) {
  return Channel::pair(kAny, second).value();
}

constexpr std::uint32_t kMagic = 0x316D'676D;

struct RawHeader {
  std::uint32_t magic = kMagic;
  std::uint16_t type = Tick::kType;
  std::uint16_t in_memory = 0;
  std::uint64_t size = 0;
};

/// Sends whatever bytes and descriptors a hostile peer could.
void send_raw(const Channel& from, std::vector<std::uint8_t> bytes, std::vector<int> fds = {}) {
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  std::vector<char> control(CMSG_SPACE(sizeof(int) * fds.size()));
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fds.size());
  }
  REQUIRE(::sendmsg(from.fd(), &message, 0) >= 0);
}

std::vector<std::uint8_t> header_bytes(const RawHeader& header) {
  std::vector<std::uint8_t> bytes(sizeof(header));
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

std::vector<std::uint8_t> packet_of(const RawHeader& header, std::size_t body_bytes) {
  std::vector<std::uint8_t> bytes = header_bytes(header);
  bytes.resize(bytes.size() + body_bytes);
  return bytes;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

UniqueFd memory_of(std::size_t size, int seals) {
  UniqueFd memory(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(memory.get(), static_cast<off_t>(size)) == 0);
  if (seals != 0) REQUIRE(::fcntl(memory.get(), F_ADD_SEALS, seals) == 0);
  return memory;
}

constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

ErrorCode refusal(Channel& end) {
  const auto received = end.try_receive();
  REQUIRE(!received.has_value());
  return received.error().code;
}

Order order(std::size_t data_bytes) {
  Order order;
  order.id = 7;
  order.time = -5;
  order.items.push_back({"x", {2, -1}, std::vector<std::uint8_t>(data_bytes, 0xab)});
  order.texts = {"", "two"};
  return order;
}

}  // namespace

TEST_CASE("wire: a small message arrives as it was sent") {
  auto [a, b] = pair_of();
  REQUIRE(a.send(order(12)).has_value());
  const Order back = b.receive().value().as<Order>().value();
  CHECK(back.id == 7);
  CHECK(back.time == -5);
  REQUIRE(back.items.size() == 1);
  CHECK(back.items[0].name == "x");
  CHECK(back.items[0].shape == std::vector<std::int64_t>{2, -1});
  CHECK(back.items[0].data == std::vector<std::uint8_t>(12, 0xab));
}

TEST_CASE("wire: sizes around the inline bound arrive whole") {
  auto [a, b] = pair_of();
  for (const std::size_t size :
       {std::size_t{0}, limits::kIpcInlineBytesMax - 200, limits::kIpcInlineBytesMax - 60,
        limits::kIpcInlineBytesMax, limits::kIpcInlineBytesMax + 1, std::size_t{3} << 20}) {
    REQUIRE(a.send(order(size)).has_value());
    const Order back = b.receive().value().as<Order>().value();
    CHECK(back.items[0].data.size() == size);
  }
}

TEST_CASE("wire: a message beyond the bound is not sent") {
  Order request;
  request.texts.emplace_back(limits::kIpcPayloadBytesMax, 'x');
  CHECK(pack(request).error().code == ErrorCode::kTooLarge);
}

TEST_CASE("wire: descriptors travel with a message and close with it") {
  auto [a, b] = pair_of();
  const std::size_t before = open_descriptors();
  {
    const UniqueFd one = memory_of(5, 0);
    const UniqueFd two = memory_of(6, 0);
    const std::array fds{one.get(), two.get()};
    REQUIRE(a.send(Tick{}, fds).has_value());
    Received received = b.receive().value();
    REQUIRE(received.descriptors.size() == 2);
    CHECK(::lseek(received.descriptors[0].get(), 0, SEEK_END) == 5);
    CHECK(::lseek(received.descriptors[1].get(), 0, SEEK_END) == 6);
    CHECK((::fcntl(received.descriptors[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("wire: a large message carries its own memory beside other descriptors") {
  auto [a, b] = pair_of();
  const UniqueFd extra = memory_of(5, 0);
  const std::array fds{extra.get()};
  REQUIRE(a.send(order(1 << 20), fds).has_value());
  Received received = b.receive().value();
  CHECK(received.as<Order>().value().items[0].data.size() == 1 << 20);
  REQUIRE(received.descriptors.size() == 1);
  CHECK(::lseek(received.descriptors[0].get(), 0, SEEK_END) == 5);
}

TEST_CASE("wire: nothing there is no message, a closed peer is an error") {
  auto [a, b] = pair_of();
  CHECK(!b.try_receive().value().has_value());
  CHECK(b.receive(std::chrono::steady_clock::now()).error().code == ErrorCode::kDeadline);
  a.close();
  CHECK(refusal(b) == ErrorCode::kWorkerUnavailable);
  const auto sent = b.send(Tick{1});
  REQUIRE(!sent.has_value());
  CHECK(sent.error().code == ErrorCode::kWorkerUnavailable);
}

TEST_CASE("wire: a full channel says so instead of blocking") {
  auto [a, b] = pair_of();
  const Packet packet = pack(order(30'000)).value();
  int sent = 0;
  while (a.try_send(packet).value() == SendStatus::kSent) REQUIRE(++sent < 10'000);
  CHECK(sent > 0);
  REQUIRE(b.receive().has_value());
}

TEST_CASE("wire: a peer's malformed packets are refused, each with its code") {
  auto [a, b] = pair_of();
  send_raw(a, {1, 2, 3});
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  send_raw(a, packet_of({.magic = 1, .size = 8}, 8));
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  send_raw(a, packet_of({.size = 9}, 8));
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  send_raw(a, packet_of({.size = 7}, 8));
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  send_raw(a, packet_of({.in_memory = 2, .size = 8}, 8));
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  send_raw(a, packet_of({.in_memory = 1, .size = 8}, 0));
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  send_raw(a, packet_of({.size = limits::kIpcInlineBytesMax + 1}, limits::kIpcInlineBytesMax + 1));
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  send_raw(a, packet_of({.size = limits::kIpcInlineBytesMax + 9}, limits::kIpcInlineBytesMax + 9));
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  // The channel itself survives all of these.
  REQUIRE(a.send(Tick{3}).has_value());
  CHECK(b.receive().value().as<Tick>().value().count == 3);
}

TEST_CASE("wire: memory is mapped only with every seal and its exact size") {
  auto [a, b] = pair_of();
  const std::size_t before = open_descriptors();
  const auto announce = [&a](const UniqueFd& memory, std::uint64_t size) {
    send_raw(a, header_bytes({.in_memory = 1, .size = size}), {memory.get()});
  };
  for (const int missing : {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE}) {
    announce(memory_of(8, kAllSeals & ~missing), 8);
    CHECK(refusal(b) == ErrorCode::kWorkerSeals);
  }
  announce(memory_of(8, kAllSeals), 9);
  CHECK(refusal(b) == ErrorCode::kWorkerSeals);
  announce(memory_of(8, kAllSeals), 7);
  CHECK(refusal(b) == ErrorCode::kWorkerSeals);
  announce(memory_of(8, kAllSeals), limits::kIpcPayloadBytesMax + 1);
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  {
    std::array<int, 2> pipe_ends{};
    REQUIRE(::pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
    const UniqueFd reader(pipe_ends[0]);
    const UniqueFd writer(pipe_ends[1]);
    announce(reader, 8);
    CHECK(refusal(b) == ErrorCode::kWorkerSeals);
  }
  announce(memory_of(8, kAllSeals), 8);
  CHECK(b.try_receive().value()->as<Tick>().value().count == 0);
  // No refused packet left a descriptor behind.
  CHECK(open_descriptors() == before);
}

TEST_CASE("wire: more descriptors than a message may carry are refused and closed") {
  auto [a, b] = pair_of();
  const UniqueFd memory = memory_of(8, 0);
  const std::size_t before = open_descriptors();
  const std::vector<int> many(limits::kIpcDescriptorsMax + 2, memory.get());
  send_raw(a, packet_of({.size = 8}, 8), many);
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  CHECK(open_descriptors() == before);
}

TEST_CASE("wire: a message of another type is refused") {
  auto [a, b] = pair_of();
  REQUIRE(a.send(Tick{3}).has_value());
  CHECK(b.receive().value().as<Order>().error().code == ErrorCode::kWorkerProtocol);
}

TEST_CASE("wire: fields that are cut short or followed by more are refused") {
  Encoder encoder;
  order(12).visit(encoder);
  const std::vector<std::uint8_t> whole = std::move(encoder).take();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Decoder decoder(Bytes{whole}.first(size));
    Order request;
    request.visit(decoder);
    CHECK(decoder.finish().error().code == ErrorCode::kWorkerProtocol);
  }
  std::vector<std::uint8_t> longer = whole;
  longer.push_back(0);
  Decoder decoder(longer);
  Order request;
  request.visit(decoder);
  CHECK(decoder.finish().error().code == ErrorCode::kWorkerProtocol);
}

TEST_CASE("wire: a count larger than the message allocates nothing") {
  // A list that claims four thousand million items in a few bytes.
  std::vector<std::uint8_t> bytes(8 + 8 + 1 + 4);
  const std::uint32_t count = 0xffff'ffff;
  std::memcpy(bytes.data() + 17, &count, sizeof(count));
  Decoder decoder(bytes);
  Order request;
  request.visit(decoder);
  CHECK(decoder.finish().error().code == ErrorCode::kWorkerProtocol);
  CHECK(request.items.empty());
}

TEST_CASE("wire: a receiver refuses a message beyond its bounds, inline or in memory") {
  auto [a, b] = pair_of({.message_bytes_max = 100'000, .descriptors_max = 1});
  REQUIRE(a.send(order(30'000)).has_value());
  CHECK(b.receive().value().as<Order>().has_value());
  REQUIRE(a.send(order(99'000)).has_value());
  CHECK(b.receive().value().as<Order>().has_value());
  REQUIRE(a.send(order(101'000)).has_value());
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  const UniqueFd memory = memory_of(8, 0);
  const std::array fds{memory.get(), memory.get()};
  REQUIRE(a.send(Tick{}, std::span(fds).first(1)).has_value());
  CHECK(b.receive().value().descriptors.size() == 1);
  const std::size_t before = open_descriptors();
  REQUIRE(a.send(Tick{}, fds).has_value());
  CHECK(refusal(b) == ErrorCode::kWorkerProtocol);
  CHECK(open_descriptors() == before);

  auto [c, d] = pair_of({.message_bytes_max = 8, .descriptors_max = 0});
  REQUIRE(c.send(Tick{1}).has_value());
  CHECK(d.receive().value().as<Tick>().value().count == 1);
  REQUIRE(c.send(order(1)).has_value());
  CHECK(refusal(d) == ErrorCode::kWorkerProtocol);
  REQUIRE(c.send(Tick{}, std::span(fds).first(1)).has_value());
  CHECK(refusal(d) == ErrorCode::kWorkerProtocol);
}

TEST_CASE("wire: what a peer sent before it ended is received, whatever it left unread") {
  auto [here, there] = pair_of();
  REQUIRE(here.send(Tick{1}).has_value());
  REQUIRE(there.send(Tick{7}).has_value());
  REQUIRE(there.send(Tick{8}).has_value());
  there.close();
  CHECK(here.receive()->as<Tick>()->count == 7);
  CHECK(here.receive()->as<Tick>()->count == 8);
  CHECK(here.receive().error().code == ErrorCode::kWorkerUnavailable);
}

TEST_CASE("wire: random and mutated fields never do more than fail") {
  std::mt19937 random(20'240'901);
  Encoder encoder;
  order(12).visit(encoder);
  const std::vector<std::uint8_t> whole = std::move(encoder).take();
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> bytes = whole;
    for (int flips = 0; flips < 3; ++flips) {
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    Decoder decoder(bytes);
    Order request;
    request.visit(decoder);
    (void)decoder.finish();
  }
}
